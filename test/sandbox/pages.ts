// The sandbox's own sign-in and consent pages, plain forms that a person or a test can send.

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:12vh auto;padding:0 1.5rem}
small{opacity:.7}h1{font-size:1.4rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}
button{font:inherit;padding:.5rem 1.25rem;margin-right:.5rem;cursor:pointer}`

function page(title: string, content: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>${STYLE}</style><small>Sandbox sign-in (not Clerk)</small><h1>${title}</h1>${content}</html>`
}

export function loginPage(action: string, email: string): string {
  return page(
    'Sign in',
    `<form method="post" action="${action}"><label>E-mail<input name="email" type="email" value="${email}" autofocus></label>
<button id="sign-in" name="answer" value="allow">Sign in</button></form>`,
  )
}

export function consentPage(action: string): string {
  return page(
    'Let CADZERO know who you are?',
    `<p>It asks for your name, your e-mail, and to keep you signed in.</p>
<form method="post" action="${action}"><button id="allow" name="answer" value="allow">Allow</button>
<button id="deny" name="answer" value="deny">Deny</button></form>`,
  )
}
