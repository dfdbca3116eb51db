// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** A count. */
export const count = (n) => whole.format(n);
/** A share from 0 to 1, as a percentage. */
export const percent = (share) => `${Math.round(share * 100)} %`;
/** A coefficient with two digits; minus signs are minus signs. */
export const coefficient = (value) => value.toFixed(2).replace("-", "−");
/** A point in time, in Unix milliseconds. */
export const time = (at) => moment.format(new Date(at));
/** A day of the calendar, by its midnight in UTC. */
export const date = (at) => day.format(new Date(at));

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** About how long: `8 days`, `3 hours`. */
export function duration(ms) {
  for (const [unit, size] of UNITS) {
    // Two of the smaller unit say more than one of the larger.
    if (ms < 2 * size) continue;
    return `${count(Math.round(ms / size))} ${unit}s`;
  }
  return ms < 90_000 ? "a minute" : "2 minutes";
}

/** An estimate as `value (from – to)`, or `undefined`. */
export function estimate({ value, ci95 }, format) {
  if (value === null) return "undefined";
  return ci95 === null ? format(value) : `${format(value)} (${format(ci95[0])} – ${format(ci95[1])})`;
}
