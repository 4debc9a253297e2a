// The pages of the sandbox: plain forms without script, for a user or a test.
import { createHash } from 'node:crypto'

const STYLE = `:root{color-scheme:light dark;--page:#f4f4f5;--card:#fff;--text:#18181b;--soft:#63636b;--line:#d4d4d8;--accent:#4f46e5}
@media(prefers-color-scheme:dark){:root{--page:#18181b;--card:#242428;--text:#f4f4f5;--soft:#a1a1aa;--line:#46464d;--accent:#6366f1}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{width:min(26rem,calc(100% - 2rem));padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
small{display:block;color:var(--soft)}h1{margin:.25rem 0 1.25rem;font-size:1.4rem;line-height:1.25}p{margin:0 0 1.25rem}
label{display:block;font-weight:600}input{width:100%;margin:.25rem 0 1.25rem;padding:.6rem .75rem;border:1px solid var(--line);border-radius:8px;background:var(--page);color:inherit;font:inherit}
button{min-width:7rem;margin-right:.5rem;padding:.6rem 1.25rem;border:1px solid var(--line);border-radius:8px;background:transparent;color:inherit;font:inherit;font-weight:600;cursor:pointer}
#sign-in,#allow{border-color:var(--accent);background:var(--accent);color:#fff}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}`

// Browsers apply form-action to the redirects after a form too, and the last redirect goes to the client's listener.
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self' http://127.0.0.1:*",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Sandbox</title><style>${STYLE}</style></head>
<body><main><small>Sandbox sign-in (not Clerk)</small><h1>${title}</h1>${content}</main></body></html>`
}

export function signInPage(action: string, email: string): string {
  return page(
    'Sign in',
    `<form method="post" action="${action}"><label for="email">E-mail</label>
<input id="email" name="email" type="email" value="${email}" autocomplete="off" required>
<button id="sign-in" name="answer" value="allow">Sign in</button></form>`,
  )
}

export function consentPage(action: string): string {
  return page(
    'Allow CADZERO to access your account?',
    `<p>CADZERO requests your name and your e-mail address, and will keep you signed in.</p>
<form method="post" action="${action}"><button id="allow" name="answer" value="allow">Allow</button>
<button id="deny" name="answer" value="deny">Deny</button></form>`,
  )
}

/** @param form the provider's form, whose fields are in it */
export function deviceCodePage(form: string, problem: string | undefined): string {
  return page(
    'Connect a device',
    `<p>${escaped(problem ?? 'Enter the code that the device shows.')}</p>${form}
<button type="submit" form="op.deviceInputForm">Continue</button>`,
  )
}

/** @param form the provider's form, whose fields are all hidden */
export function deviceConfirmationPage(form: string, userCode: string): string {
  return page(
    'Does your device show this code?',
    `<p><strong>${escaped(userCode)}</strong></p>${form}
<button id="allow" type="submit" form="op.deviceConfirmForm">Continue</button>`,
  )
}

export function messagePage(title: string, text: string): string {
  return page(title, `<p>${escaped(text)}</p>`)
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
