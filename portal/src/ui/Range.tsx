import { useId } from "react";

type Props = {
  label: string;
  value: number;
  min?: number;
  max: number;
  step?: number;
  /** The value in words, shown beside the slider and told by screen readers. */
  words: string;
  change: (value: number) => void;
};

export function Range({ label, value, min = 0, max, step = 1, words, change }: Props) {
  const id = useId();
  return (
    <div className="range">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="range"
        {...{ min, max, step, value }}
        aria-valuetext={words}
        onChange={({ currentTarget }) => change(currentTarget.valueAsNumber)}
      />
      <output htmlFor={id}>{words}</output>
    </div>
  );
}
