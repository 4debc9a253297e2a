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

export interface DeviceVisitOptions {
  /** Typed in if the page asks for the code. */
  readonly userCode?: string
  /** Declines on the consent page. */
  readonly deny?: boolean
}

interface Page {
  readonly status: number
  readonly body: string
}

const MOST_REQUESTS = 20

/** Follows the provider's pages until it redirects to another origin: the client's callback. */
export async function signIn(issuer: string, authorizationUrl: string, options: VisitOptions = {}): Promise<Visit> {
  const left = await walk(issuer, authorizationUrl, options)
  if (left instanceof URL) return await deliver(left, options)
  throw new Error(`the sandbox responded with ${left.status} and no form`)
}

/** Enters the code of another device, and agrees. @returns the provider's last page */
export async function authorizeDevice(issuer: string, url: string, options: DeviceVisitOptions = {}): Promise<Page> {
  const last = await walk(issuer, url, options)
  if (last instanceof URL) throw new Error('the sandbox redirected to another origin')
  return last
}

/** @returns the URL of another origin, or the page without a form, at which the pages of the provider end */
async function walk(
  issuer: string,
  start: string,
  { deny = false, userCode = '' }: { deny?: boolean; userCode?: string },
): Promise<URL | Page> {
  const cookies = new Map<string, string>()
  let url = new URL(start)
  let form: URLSearchParams | undefined
  for (let step = 0; step < MOST_REQUESTS; step++) {
    if (url.origin !== issuer) return url
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form ? { body: form } : {}),
    })
    form = undefined
    keepCookies(cookies, response)
    const location = response.headers.get('location')
    const body = await response.text()
    if (location !== null) {
      url = new URL(location, url)
      continue
    }
    const [, action] = /<form [^>]*method="post" action="([^"]+)"/.exec(body) ?? []
    if (action === undefined) return { status: response.status, body }
    url = new URL(action, url)
    form = new URLSearchParams({ answer: deny && body.includes('id="deny"') ? 'deny' : 'allow' })
    for (const [, name = '', value = ''] of body.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)) {
      form.set(name, value)
    }
    if (/<input[^>]* type="text" name="user_code"/.test(body)) form.set('user_code', userCode)
  }
  throw new Error('the sandbox redirected too often')
}

function keepCookies(cookies: Map<string, string>, response: Response): void {
  for (const cookie of response.headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
    if (value === '') cookies.delete(name)
    else cookies.set(name, value)
  }
}

async function deliver(url: URL, { deliver = true }: VisitOptions): Promise<Visit> {
  if (!deliver) return { callbackUrl: url.href, status: undefined, body: '', finalUrl: url.href }
  const response = await fetch(url)
  return { callbackUrl: url.href, status: response.status, body: await response.text(), finalUrl: response.url }
}
