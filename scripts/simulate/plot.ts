// Draws the day as SVG: refreshes per second over the day, and in the minutes around the outage.
import { RATE_LIMIT, WINDOW } from './clerk.ts'
import { sum } from './per-second.ts'
import { OUTAGE, type Result } from './scenarios.ts'
import { count, lifetimeName } from './table.ts'

const WIDTH = 900
const HEIGHT = 700
const LEFT = 64
const RIGHT = 190 // room for the names of the lines
const PANEL = 250 // px; its height
const HOUR = 3600
const BROKER_RATE = RATE_LIMIT / WINDOW // refreshes per second, each of which takes one request

interface Panel {
  readonly top: number
  readonly title: string
  readonly from: number
  readonly to: number
  /** Seconds between two points of a line. */
  readonly step: number
  /** Seconds between two labels. */
  readonly tick: number
  /** The bounds of the vertical axis, as powers of ten. */
  readonly lowest: number
  readonly highest: number
}

export function plotOf(results: readonly Result[]): string {
  const daemons = Math.max(...results.map((one) => one.daemons))
  const shown = results.filter((one) => one.daemons === daemons)
  const highest = Math.max(
    2,
    Math.ceil(Math.log10(Math.max(...shown.map((one) => rate(one, OUTAGE.start, 600) * 1.2)))),
  )
  const day: Panel = {
    top: 56,
    title: `A working day of ${count(daemons)} daemons: refreshes per second, mean of 5 minutes`,
    from: 6 * HOUR,
    to: 20 * HOUR,
    step: 300,
    tick: HOUR,
    lowest: -1,
    highest,
  }
  const outage: Panel = {
    ...day,
    top: 56 + PANEL + 84,
    title: 'Around the outage of ten minutes: mean of 10 seconds',
    from: OUTAGE.start - 300,
    to: OUTAGE.end + 900,
    step: 10,
    tick: 300,
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${day.title}">
<style>
  .back { fill: #ffffff } text { fill: #24292f; font: 13px system-ui, sans-serif }
  .title { font-weight: 600; font-size: 14px } .grid { stroke: #d0d7de; stroke-width: 1 } .off { fill: #afb8c1; opacity: 0.3 }
  .limit { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 6 4 } .line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
  .c0 { stroke: #cf222e } .c1 { stroke: #bc4c00 } .c2 { stroke: #0969da } .c3 { stroke: #1a7f37 } .c4 { stroke: #8250df }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .off { fill: #8b949e } .limit { stroke: #9198a1 }
    .c0 { stroke: #ff7b72 } .c1 { stroke: #f0883e } .c2 { stroke: #58a6ff } .c3 { stroke: #3fb950 } .c4 { stroke: #bc8cff }
  }
</style>
<rect class="back" width="${WIDTH}" height="${HEIGHT}" rx="8"/>
${[day, outage].map((panel) => drawPanel(panel, shown)).join('\n')}
</svg>
`
}

function drawPanel(panel: Panel, results: readonly Result[]): string {
  const { top, title, from, to, tick, lowest, highest } = panel
  const right = WIDTH - RIGHT
  const parts = [`<text class="title" x="${LEFT}" y="${top - 16}">${title}</text>`]
  const off = { x: x(panel, OUTAGE.start), width: x(panel, OUTAGE.end) - x(panel, OUTAGE.start) }
  parts.push(`<rect class="off" x="${px(off.x)}" y="${top}" width="${px(off.width)}" height="${PANEL}"/>`)
  for (let power = lowest; power <= highest; power++) {
    const at = px(y(panel, 10 ** power))
    parts.push(`<line class="grid" x1="${LEFT}" x2="${right}" y1="${at}" y2="${at}"/>`)
    parts.push(`<text text-anchor="end" x="${LEFT - 8}" y="${Number(at) + 4}">${count(10 ** power)}</text>`)
  }
  for (let time = Math.ceil(from / tick) * tick; time <= to; time += tick) {
    const label = `${Math.floor(time / HOUR)}:${String(Math.floor((time % HOUR) / 60)).padStart(2, '0')}`
    parts.push(`<text text-anchor="middle" x="${px(x(panel, time))}" y="${top + PANEL + 18}">${label}</text>`)
  }
  const limit = px(y(panel, BROKER_RATE))
  parts.push(`<line class="limit" x1="${LEFT}" x2="${right}" y1="${limit}" y2="${limit}"/>`)
  const names = [{ text: `broker's limit: ${BROKER_RATE}`, at: Number(limit) }]
  for (const [index, result] of results.entries()) {
    const points: string[] = []
    let last = 0
    for (let time = from; time < to; time += panel.step) {
      last = y(panel, rate(result, time, panel.step))
      points.push(`${px(x(panel, time + panel.step / 2))},${px(last)}`)
    }
    parts.push(`<polyline class="line c${index}" points="${points.join(' ')}"/>`)
    names.push({ text: nameOf(result), at: y(panel, rate(result, OUTAGE.end + 600, HOUR)) })
  }
  parts.push(...drawNames(panel, names, results.map(nameOf)))
  return parts.join('\n')
}

/** The names on the right, without overlap, each after a short piece of its line. */
function drawNames(panel: Panel, names: { text: string; at: number }[], order: readonly string[]): string[] {
  let free = panel.top + 8
  return [...names]
    .sort((a, b) => a.at - b.at)
    .flatMap(({ text, at }) => {
      const place = Math.max(free, at)
      free = place + 19
      const index = order.indexOf(text)
      const style = index < 0 ? 'limit' : `line c${index}`
      const from = WIDTH - RIGHT + 8
      return [
        `<line class="${style}" x1="${from}" x2="${from + 20}" y1="${px(place)}" y2="${px(place)}"/>`,
        `<text x="${from + 26}" y="${px(place + 4)}">${text}</text>`,
      ]
    })
}

function nameOf({ method, lifetime }: Result): string {
  return `${method === 'oauth' ? 'OAuth' : 'broker'}, ${lifetimeName(lifetime)}`
}

/** Refreshes per second. */
function rate({ day, oneIn }: Result, from: number, seconds: number): number {
  return (sum(day.requests, from, from + seconds) * oneIn) / seconds
}

function x({ from, to }: Panel, time: number): number {
  const at = Math.min(to, Math.max(from, time))
  return LEFT + ((at - from) / (to - from)) * (WIDTH - RIGHT - LEFT)
}

function y({ top, lowest, highest }: Panel, value: number): number {
  const power = Math.min(highest, Math.max(lowest, Math.log10(Math.max(value, 1e-9))))
  return top + PANEL * (1 - (power - lowest) / (highest - lowest))
}

function px(value: number): string {
  return value.toFixed(1)
}
