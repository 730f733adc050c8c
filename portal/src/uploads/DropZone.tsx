import { useQuery } from "@tanstack/react-query";
import { type DragEvent, useRef, useState } from "react";
import { useLocation } from "wouter";
import { sampleFile } from "../api/client";
import { samplesQuery } from "../api/queries";
import { useFormat } from "../i18n/format";
import { Dialog } from "../ui/Dialog";
import { type Dropped, fromDrop, fromInput, images } from "./dropped";
import { type Group, group } from "./group";
import { send, useUploads } from "./queue";

/** Takes files, folders and zips; a single analysis opens by itself, several stay in the list. */
export function DropZone() {
  const { t, language } = useFormat();
  const [, go] = useLocation();
  const [over, setOver] = useState(false);
  const [nothing, setNothing] = useState(false);
  const [unclear, setUnclear] = useState<Group[]>([]);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const samples = useQuery(samplesQuery);

  function start(groups: Group[]) {
    const keys = send(groups);
    if (keys.length !== 1) return;
    const stop = useUploads.subscribe(({ uploads }) => {
      const mine = uploads.find((one) => one.key === keys[0]);
      if (!mine || mine.problem || mine.step === "cancelled") stop();
      else if (mine.analysis) {
        stop();
        // Someone who has gone elsewhere meanwhile is not called back.
        if (window.location.pathname === "/") go(`/studies/${mine.analysis.id}`);
      }
    });
  }

  async function take(dropped: Dropped[]) {
    const files = images(dropped);
    setNothing(files.length === 0);
    const grouping = await group(files);
    setUnclear(grouping.unclear);
    if (grouping.sure.length > 0) start(grouping.sure);
  }

  function decide(one: Group, series: boolean) {
    setUnclear((left) => left.slice(1));
    start(series ? [one] : one.files.map((file) => ({ name: file.name, files: [file] })));
  }

  const drag = (inside: boolean) => (event: DragEvent) => {
    event.preventDefault();
    setOver(inside);
  };
  const [asked] = unclear;

  return (
    <section className="send" aria-label={t("drop")}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is beside the buttons inside, which do the same. */}
      <div
        className={over ? "drop over" : "drop"}
        onDragEnter={drag(true)}
        onDragOver={drag(true)}
        onDragLeave={drag(false)}
        onDrop={(event) => {
          drag(false)(event);
          void fromDrop(event.dataTransfer).then(take);
        }}
      >
        <p className="drop-title">{over ? t("dropNow") : t("drop")}</p>
        <p className="dim">{t("dropHint")}</p>
        <div className="row centre">
          <button type="button" className="primary" onClick={() => files.current?.click()}>
            {t("chooseFiles")}
          </button>
          <button type="button" onClick={() => folder.current?.click()}>
            {t("chooseFolder")}
          </button>
        </div>
        <p className="dim">{t("privacy")}</p>
        {nothing && <p role="alert">{t("nothingToSend")}</p>}
        <Chooser of={files} label={t("chooseFiles")} take={take} />
        <Chooser of={folder} label={t("chooseFolder")} take={take} folder />
      </div>
      {samples.data && samples.data.length > 0 && (
        <div className="samples">
          <h2>{t("samples")}</h2>
          <div className="row wrap">
            {samples.data.map(({ file, title }) => (
              <button
                type="button"
                key={file}
                onClick={() =>
                  void sampleFile(file).then((sample) => start([{ name: title[language] ?? file, files: [sample] }]))
                }
              >
                {title[language]}
              </button>
            ))}
          </div>
        </div>
      )}
      {asked && (
        <Dialog
          key={asked.name}
          title={t("seriesTitle", { count: asked.files.length })}
          close={() => setUnclear((left) => left.slice(1))}
        >
          <p>
            {asked.name}: {t("seriesText")}
          </p>
          <div className="row end">
            <button type="button" onClick={() => decide(asked, false)}>
              {t("asMany")}
            </button>
            <button type="button" className="primary" onClick={() => decide(asked, true)}>
              {t("asOne")}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

type ChooserProps = {
  of: React.RefObject<HTMLInputElement | null>;
  label: string;
  take: (dropped: Dropped[]) => void;
  folder?: boolean;
};

function Chooser({ of, label, take, folder = false }: ChooserProps) {
  return (
    <input
      ref={of}
      type="file"
      multiple
      hidden
      aria-label={label}
      {...(folder ? { webkitdirectory: "" } : {})}
      onChange={({ currentTarget }) => {
        if (currentTarget.files) take(fromInput(currentTarget.files));
        currentTarget.value = ""; // The same file can be chosen again.
      }}
    />
  );
}
