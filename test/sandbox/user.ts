// The user and the browser in one: follows redirects, keeps cookies, submits the forms.

export interface Visit {
  /** The URL to which the provider redirected the browser. */
  readonly callbackUrl: string
  /** The status of the last page that the client's listener showed; undefined if the callback was not delivered. */
  readonly status: number | undefined
  readonly body: string
  readonly finalUrl: string
}

export interface VisitOptions {
  /** Declines on the consent page. */
  readonly deny?: boolean
  /** False: does not follow the redirect to the callback. */
  readonly deliver?: boolean
}

const MOST_REQUESTS = 20

export async function signIn(issuer: string, authorizationUrl: string, options: VisitOptions = {}): Promise<Visit> {
  const cookies = new Map<string, string>()
  let url = new URL(authorizationUrl)
  let form: URLSearchParams | undefined
  for (let step = 0; step < MOST_REQUESTS; step++) {
    if (url.origin !== issuer) return await deliver(url, options)
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form ? { body: form } : {}),
    })
    form = undefined
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    const location = response.headers.get('location')
    const body = await response.text()
    if (location !== null) {
      url = new URL(location, url)
      continue
    }
    const [, action] = /<form method="post" action="([^"]+)"/.exec(body) ?? []
    if (action === undefined)
      throw new Error(`the sandbox responded with ${response.status} and no form at ${url.pathname}`)
    url = new URL(action, url)
    form = new URLSearchParams({ answer: options.deny && body.includes('id="deny"') ? 'deny' : 'allow' })
  }
  throw new Error('the sandbox redirected too often')
}

async function deliver(url: URL, { deliver = true }: VisitOptions): Promise<Visit> {
  if (!deliver) return { callbackUrl: url.href, status: undefined, body: '', finalUrl: url.href }
  const response = await fetch(url)
  return { callbackUrl: url.href, status: response.status, body: await response.text(), finalUrl: response.url }
}
