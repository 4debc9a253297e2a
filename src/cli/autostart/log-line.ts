// One line of the daemon's log as text for a terminal.

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }

/** Time, level, event and fields. A line that is not a JSON object stays as it is, without control characters. */
export function describeLogLine(line: string): string {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return escapeControls(line)
  }
  if (typeof parsed !== 'object' || parsed === null) return escapeControls(line)
  const { time, level, event, ...fields } = parsed as Record<string, unknown>
  const shown = Object.entries(fields).map(([name, value]) => `${escapeControls(name)}=${quoteIfNeeded(value)}`)
  const levelName = LEVELS[Number(level)] ?? quoteIfNeeded(level)
  return [quoteIfNeeded(time), levelName.padEnd(5), quoteIfNeeded(event), ...shown].join('  ')
}

function quoteIfNeeded(value: unknown): string {
  const json = JSON.stringify(value) ?? '-'
  const text = typeof value === 'string' ? value : json
  return /^[\w.:@+-]+$/.test(text) ? text : escapeControls(json)
}

/** A terminal would obey control characters. */
function escapeControls(text: string): string {
  return text.replace(/[^\P{C}\t]/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
