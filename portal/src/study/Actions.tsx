import * as Menu from "@radix-ui/react-dropdown-menu";
import { useState } from "react";
import { useLocation } from "wouter";
import type { Analysis } from "../api/client";
import { useMay, useRemove } from "../api/queries";
import { useFormat } from "../i18n/format";
import { Dialog } from "../ui/Dialog";
import { ProblemAlert } from "../ui/ProblemText";
import { save } from "../viewer/pixels";

type Props = { analysis: Analysis; picture: () => HTMLCanvasElement | null };

/** Export and delete. */
export function Actions({ analysis, picture }: Props) {
  const { t } = useFormat();
  const [asking, ask] = useState(false);
  const [, go] = useLocation();
  const may = useMay();
  const remove = useRemove(analysis.id);

  function png() {
    const canvas = picture();
    if (canvas) void save(canvas, `dokuei-${analysis.id.slice(0, 8)}`);
  }

  return (
    <div className="row push actions">
      <Menu.Root modal={false}>
        <Menu.Trigger asChild>
          <button type="button">{t("export")} ▾</button>
        </Menu.Trigger>
        <Menu.Content className="menu" align="end" sideOffset={4}>
          <Menu.Item onSelect={() => setTimeout(() => window.print())}>{t("print")}</Menu.Item>
          <Menu.Item onSelect={png}>{t("png")}</Menu.Item>
        </Menu.Content>
      </Menu.Root>
      {may.change && (
        <button type="button" className="danger" onClick={() => ask(true)}>
          {t("remove")}
        </button>
      )}
      {asking && (
        <Dialog title={t("remove")} close={() => ask(false)}>
          <p>{t("confirmRemove")}</p>
          {remove.error && <ProblemAlert problem={remove.error} />}
          <div className="row end">
            <button type="button" onClick={() => ask(false)}>
              {t("cancel")}
            </button>
            <button
              type="button"
              className="danger"
              disabled={remove.isPending}
              onClick={() => remove.mutate(undefined, { onSuccess: () => go("/") })}
            >
              {t("remove")}
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}
