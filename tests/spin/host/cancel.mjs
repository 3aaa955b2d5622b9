// A component that drops a call cancels it. Compiled components do not tell that to the host by
// themselves, so two places in them are made to; a platform drops the call's future.

const hooks = new WeakMap();
let current;

/** Called by a compiled component before it calls the host. */
globalThis.tollgateEnters = (subtask) => {
  current = subtask;
};
/** Called by a compiled component that wants a call's answer no more. */
globalThis.tollgateCancels = (subtask) => hooks.get(subtask)?.();

/** What to do if the call that has just begun is cancelled. To be said before anything is awaited. */
export function onCancel(act) {
  if (current !== undefined) hooks.set(current, act);
}

const PLACES = [
  [
    "_debugLog('[_lowerImport()] calling lowered import', { importFn, params });",
    "globalThis.tollgateEnters(subtask);",
  ],
  ["subtask.requestCancellation();\n", "globalThis.tollgateCancels(subtask);"],
];

/** Compiled code that tells. */
export function telling(code) {
  for (const [place, call] of PLACES) {
    const parts = code.split(place);
    if (parts.length !== 2) throw new Error(`the compiled component has ${parts.length - 1} places like ${place}`);
    code = `${parts[0]}${place} ${call}${parts[1]}`;
  }
  return code;
}
