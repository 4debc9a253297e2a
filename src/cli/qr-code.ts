// A QR code made of half blocks, two modules per character, for a phone that scans the terminal.
import { renderUnicodeCompact } from 'uqr'

const BORDER = 2 // modules; fewer than the standard's four, which every phone accepts, so that it fits a window of 25 lines
const INDENT = '  '
// Light modules are drawn: in white on black, whatever the colours of the terminal are.
const [WHITE_ON_BLACK, RESET] = ['\x1b[97;40m', '\x1b[0m']

/** The QR code, without a final line break; undefined if the terminal is too narrow for it. */
export function qrCode(
  text: string,
  output: { readonly isTTY?: boolean; readonly columns?: number },
): string | undefined {
  const lines = renderUnicodeCompact(text, { border: BORDER, ecc: 'L' }).split('\n')
  const width = INDENT.length + Math.max(...lines.map((line) => line.length))
  if (output.columns !== undefined && output.columns < width) return undefined
  const coloured = (line: string) => (output.isTTY ? `${WHITE_ON_BLACK}${line}${RESET}` : line)
  return lines.map((line) => INDENT + coloured(line)).join('\n')
}
