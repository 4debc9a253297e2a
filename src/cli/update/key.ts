// The key that releases are signed with. The build alone sets it: no option, variable or file of a user replaces it.

declare const UPDATE_KEY: string | undefined // defined by the build; empty if the sources have no key

/** In PEM form; undefined if this build has none. */
export const updateKey: string | undefined =
  typeof UPDATE_KEY === 'string' && UPDATE_KEY !== '' ? UPDATE_KEY : undefined
