// The frame of every page that the callback listener shows: style, headers and policy. No script, and nothing from elsewhere.
import { createHash } from 'node:crypto'

export interface Page {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface Content {
  readonly status: number
  readonly title: string
  readonly tone: 'done' | 'wait' | 'stop' | 'none'
  readonly mark: string
  readonly heading: string
  readonly text: readonly string[]
}

// The centre lines of the mark. The horizontal one is wider than the sheet, which clips it at its border.
const AXES = '<path class="axis" d="M48 10v-20M48 86v20M6 48H-4000M90 48H4000"/>'

// Custom properties and a media query instead of light-dark(), since a system browser may be some years old.
const style = `
:root {
  color-scheme: light dark;
  --sheet: #f7f8f9;
  --ink: #15191e;
  --soft: #4d5661;
  --line: #d3d8de;
  --done: #0b7a55;
  --wait: #1463c4;
  --stop: #a34a08;
  --none: #66707c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --sheet: #14171a;
    --ink: #eef1f4;
    --soft: #a9b3be;
    --line: #333a42;
    --done: #4cc99a;
    --wait: #74aefb;
    --stop: #f0a35e;
    --none: #8b96a3;
  }
}
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  min-height: 100vh;
  padding: 20px;
  display: flex;
  background: var(--sheet);
  color: var(--ink);
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.sheet {
  flex: 1;
  min-width: 0;
  display: flex;
  flex-direction: column;
  overflow: hidden;
  border: 1px solid var(--line);
}
main {
  flex: 1;
  width: 100%;
  max-width: 560px;
  margin: 0 auto;
  padding: 48px 32px;
  display: flex;
  flex-direction: column;
  justify-content: center;
}
svg {
  display: block;
  width: 112px;
  height: 112px;
  margin: 0 0 28px -20px;
  overflow: visible;
  fill: none;
  stroke: currentColor;
  stroke-width: 3;
  stroke-linecap: round;
  stroke-linejoin: round;
}
.done svg { color: var(--done); }
.wait svg { color: var(--wait); }
.stop svg { color: var(--stop); }
.none svg { color: var(--none); }
svg .axis {
  stroke: var(--line);
  stroke-width: 1;
  stroke-dasharray: 28 6 5 6;
  stroke-linecap: butt;
  vector-effect: non-scaling-stroke;
  shape-rendering: crispEdges;
}
svg .dash { stroke-width: 2; stroke-dasharray: 5 6; stroke-linecap: butt; }
svg .dot { fill: var(--sheet); stroke-width: 2; }
h1 { font-size: 32px; line-height: 1.2; font-weight: 600; letter-spacing: -0.015em; text-wrap: balance; }
p { margin-top: 14px; color: var(--soft); text-wrap: pretty; }
b { color: var(--ink); overflow-wrap: anywhere; }
code {
  padding: 1px 6px;
  border: 1px solid var(--line);
  border-radius: 4px;
  color: var(--ink);
  font: 0.88em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  white-space: nowrap;
}
footer {
  align-self: flex-end;
  display: flex;
  border: solid var(--line);
  border-width: 1px 0 0 1px;
  color: var(--soft);
  font-size: 13px;
}
footer span { padding: 9px 16px; }
footer span + span { border-left: 1px solid var(--line); }
footer b { color: var(--ink); font-weight: 600; letter-spacing: 0.08em; }
@media (max-width: 480px) {
  body { padding: 12px; font-size: 16px; }
  main { padding: 32px 22px; }
  svg { width: 88px; height: 88px; margin: 0 0 20px -15px; }
  h1 { font-size: 26px; }
  footer { align-self: stretch; border-left-width: 0; }
  footer span { padding: 9px 12px; }
}
@media (prefers-reduced-motion: no-preference) {
  main { animation: appear 0.3s ease-out; }
  svg .draw { animation: draw 0.6s ease-out; }
}
@media (forced-colors: active) {
  main svg, main svg .axis { color: CanvasText; stroke: CanvasText; }
  svg .dot { fill: Canvas; }
}
@keyframes appear { from { opacity: 0; } }
@keyframes draw {
  from { stroke-dasharray: 1; stroke-dashoffset: 1; }
  to { stroke-dasharray: 1; stroke-dashoffset: 0; }
}
`

const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "frame-ancestors 'none'",
  "form-action 'none'",
  "base-uri 'none'",
].join('; ')

/** Renders a page. `text` is trusted HTML: nothing from a request is ever part of a page. */
export function page({ status, title, tone, mark, heading, text }: Content): Page {
  const body = Buffer.from(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · CADZERO</title>
<style>${style}</style>
</head>
<body>
<div class="sheet">
<main class="${tone}">
<svg viewBox="0 0 96 96" aria-hidden="true">${AXES}${mark}</svg>
<h1>${heading}</h1>
${text.map((paragraph) => `<p>${paragraph}</p>`).join('\n')}
</main>
<footer><span><b>CADZERO</b></span><span>Served from this computer</span></footer>
</div>
</body>
</html>
`)
  return {
    status,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': String(body.length),
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': contentSecurityPolicy,
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'X-Frame-Options': 'DENY',
      Connection: 'close',
    },
    body,
  }
}
