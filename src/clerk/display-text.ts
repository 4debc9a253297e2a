// Texts for display that come from outside: a terminal or a list must be able to show them as they are.

const LONGEST_TEXT = 320 // characters; no e-mail address is longer

// Control characters (and with them a terminal's escapes), formatting characters (and with them the direction of writing), line
// and paragraph separators, and halves of surrogate pairs.
const NOT_SHOWN = /[\p{C}\p{Zl}\p{Zp}]+/gu

/** The text without characters that change how others are shown, and of limited length; null if nothing is left or it is no text. */
export function displayText(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const shown = [...value.replaceAll(NOT_SHOWN, ' ').trim()].slice(0, LONGEST_TEXT)
  return shown.length === 0 ? null : shown.join('').trim()
}
