import { useEffect, useRef } from "react";
import { usePointed, type WithKey } from "./sources";

/** A figure on the page that lights up while the explanation's number that comes from it is pointed at. */
export function Source({ of, children }: WithKey) {
  const lit = usePointed(({ key }) => key === of);
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (lit) place.current?.scrollIntoView({ block: "nearest" });
  }, [lit]);
  return (
    <span ref={place} data-source={of} className={lit ? "source lit" : "source"}>
      {children}
    </span>
  );
}
