// Texts for display that come from outside: a terminal or a list must be able to show them as they are.

const LONGEST_TEXT = 320 // characters; no e-mail address is longer

/** The text without control characters and line breaks, and of limited length; null if nothing is left or it is not a text. */
export function displayText(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const clean = value
    .replaceAll(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, LONGEST_TEXT)
  return clean === '' ? null : clean
}
