import { useId } from "react";

type Props<T extends string> = {
  label: string;
  value: T | null;
  options: readonly (readonly [T, string])[];
  choose: (value: T) => void;
};

/** A few choices side by side, of which one holds: radio buttons, so that arrow keys go from one to the next. */
export function Choice<T extends string>({ label, value, options, choose }: Props<T>) {
  const name = useId();
  return (
    <fieldset className="choice" aria-label={label}>
      {options.map(([key, words]) => (
        <label key={key}>
          <input type="radio" name={name} value={key} checked={key === value} onChange={() => choose(key)} />
          {words}
        </label>
      ))}
    </fieldset>
  );
}
