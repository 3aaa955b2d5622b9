// What a compiled component does not tell its host by itself: that it drops a call, which a platform hears
// since the call's future is dropped, and whether it still waits for one. So it is made to tell. What a
// cancelled call comes to must never be told: it would be written where the component has something else
// by then.

const hooks = new WeakMap();
let current;

/** What to do if the call that has just begun is cancelled. To be said before anything is awaited. */
export function onCancel(act) {
  if (current !== undefined) hooks.set(current, act);
}

/** The calls of one instance that are under way. */
export class Calls {
  #open = new Set();

  /** Told by the component before it calls the host. */
  enters(call) {
    current = call;
    this.#open.add(call);
  }
  /** Told when the host has answered. */
  leaves(call) {
    this.#open.delete(call);
  }
  /** Told when the component wants no answer any more. */
  cancels(call) {
    hooks.get(call)?.();
    this.#open.delete(call);
  }

  /** Waits until nothing is under way, and nothing begins when everything has had its turn. */
  async rest() {
    for (let quiet = 0; quiet < 3; ) {
      await new Promise((turn) => setTimeout(turn, 5));
      quiet = this.#open.size === 0 ? quiet + 1 : 0;
    }
  }
}

const PLACES = [
  ["_debugLog('[_lowerImport()] calling lowered import', { importFn, params });", "imports.tollgate.enters(subtask);"],
  ['_debugLog("[_lowerImport()] import fn error:", err);', "imports.tollgate.leaves(subtask);"],
  ["subtask.requestCancellation();\n", "imports.tollgate.cancels(subtask);"],
];
// Where the host has answered.
const ANSWERED = /(await _withGlobalCurrentTaskMetaAsync\(\{\s*taskID: task\.id\(\),\s*componentIdx: task\.componentIdx\(\),\s*fn: \(\) => importFn\(\.\.\.params\),\s*\}\);)(\s*if \(requiresManualAsyncResult\) \{)/g;

/** Compiled code that tells. */
export function telling(code) {
  for (const [place, call] of PLACES) {
    const parts = code.split(place);
    if (parts.length !== 2) throw new Error(`the compiled component has ${parts.length - 1} places like ${place}`);
    code = `${parts[0]}${place} ${call}${parts[1]}`;
  }
  const answered = code.match(ANSWERED)?.length ?? 0;
  if (answered !== 1) throw new Error(`the compiled component has ${answered} places where the host has answered`);
  return code.replace(ANSWERED, "$1 imports.tollgate.leaves(subtask);$2");
}
