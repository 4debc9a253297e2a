// The pages that the redirect listener shows in the browser: constant bytes, made before any request is read.
import { createHash } from 'node:crypto'

export interface Page {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

interface Content {
  readonly status: number
  readonly title: string
  readonly tone: 'done' | 'wait' | 'stop' | 'none'
  readonly mark: string
  readonly heading: string
  readonly text: readonly string[]
}

// Every mark is a sketch of a zero: closed when all is well, open or dashed where something is missing.
const RING = '<circle class="draw" pathLength="1" cx="48" cy="48" r="30" transform="rotate(-90 48 48)"/>'

// Its centre lines. The level one runs over the whole sheet, which cuts it off at the frame.
const AXES = '<path class="axis" d="M48 10v-20M48 86v20M6 48H-4000M90 48H4000"/>'

// Custom properties and a media query, not light-dark(): a system browser may be some years old.
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

export const pages = {
  signedIn: page({
    status: 200,
    title: 'Signed in',
    tone: 'done',
    mark: `${RING}<path class="draw" pathLength="1" d="M35 49l9 9 18-19"/>`,
    heading: 'You are signed in.',
    text: ['You can close this tab and go back to Fusion.'],
  }),
  denied: page({
    status: 200,
    title: 'Sign-in declined',
    tone: 'none',
    mark: `${RING}<path d="M27 69l42-42"/>`,
    heading: 'The sign-in was declined.',
    text: ['Nothing was changed.', 'To try again, go back to Fusion and start the sign-in from CADZERO.'],
  }),
  failed: page({
    status: 200,
    title: 'Sign-in not finished',
    tone: 'stop',
    mark: `<path class="draw" pathLength="1" d="M72 30A30 30 0 1 1 66 24"/><path d="M48 34v17M48 61v.01"/>`,
    heading: 'Sign-in could not be finished.',
    text: [
      'CADZERO in Fusion says why, and so does <code>cadzero-auth status</code> in a terminal.',
      'To try again, go back to Fusion and start the sign-in from CADZERO.',
    ],
  }),
  // 400: nothing has been accepted yet, and the sign-in that waits is not touched by this hit.
  interrupted: page({
    status: 400,
    title: 'One more step to sign in',
    tone: 'wait',
    mark:
      '<path class="dash" d="M48 18a30 30 0 0 0-30 30"/><path class="draw" pathLength="1" d="M48 18a30 30 0 1 1-30 30"/>' +
      '<circle class="dot" cx="48" cy="18" r="4"/><circle class="dot" cx="18" cy="48" r="4"/>',
    heading: 'One more step.',
    text: [
      'Clerk signed you in, but lost CADZERO’s sign-in request on the way. This happens once, when the browser was signed out.',
      'The sign-in is still waiting. A new tab opens by itself, once, to finish it. If none opens, use the sign-in link again.',
    ],
  }),
  wrongLink: page({
    status: 400,
    title: 'Not the link of this sign-in',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/><circle cx="72" cy="25" r="16"/>',
    heading: 'This link does not belong here.',
    text: [
      'It is not part of the sign-in that is running. Nothing was changed, and the sign-in goes on waiting.',
      'To finish it, use the latest sign-in tab or link from CADZERO.',
    ],
  }),
  notFound: page({
    status: 404,
    title: 'Nothing here',
    tone: 'none',
    mark: '<circle class="dash" cx="48" cy="48" r="30"/>',
    heading: 'There is nothing here.',
    text: ['You can close this tab.'],
  }),
} as const satisfies Record<string, Page>

function page({ status, title, tone, mark, heading, text }: Content): Page {
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
