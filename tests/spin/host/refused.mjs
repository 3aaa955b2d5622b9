/** An error as a component sees it. */
export function refused(tag, val) {
  return Object.assign(new Error(val ?? tag), { payload: val === undefined ? { tag } : { tag, val } });
}
