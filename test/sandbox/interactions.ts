// The provider's sign-in and consent: shows the page that is due, and handles its form.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type Provider from 'oidc-provider'
import { readBody } from './front.ts'
import { errors } from './oidc-provider.ts'
import { CONTENT_SECURITY_POLICY, consentPage, messagePage, signInPage } from './pages.ts'
import { type ProviderSettings, resourceOf, SCOPES } from './provider.ts'

export function isInteraction({ url = '' }: IncomingMessage): boolean {
  return /^\/interaction\/[\w-]+$/.test(url)
}

export async function interact(
  provider: Provider,
  settings: ProviderSettings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (request.method === 'POST') return await submit(provider, settings, request, response)
    const { prompt } = await provider.interactionDetails(request, response)
    const action = String(request.url)
    show(response, 200, prompt.name === 'login' ? signInPage(action, settings.user.email) : consentPage(action))
  } catch (error) {
    if (!(error instanceof errors.SessionNotFound)) settings.onError(error)
    show(response, 400, messagePage('This sign-in has ended', 'Go back to the program and start again.'))
  }
}

async function submit(
  provider: Provider,
  { user, clientId, issuer }: ProviderSettings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = new URLSearchParams((await readBody(request)).toString('utf8')).get('answer')
  const { prompt, grantId } = await provider.interactionDetails(request, response)
  if (answer !== 'allow') {
    const refusal = { error: 'access_denied', error_description: 'the user declined' }
    return await provider.interactionFinished(request, response, refusal)
  }
  if (prompt.name === 'login') {
    return await provider.interactionFinished(request, response, { login: { accountId: user.id } })
  }
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const grant = known ?? new provider.Grant({ accountId: user.id, clientId })
  grant.addOIDCScope(SCOPES.join(' '))
  grant.addResourceScope(resourceOf(issuer), SCOPES.join(' '))
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
}

function show(response: ServerResponse, status: number, page: string): void {
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'cache-control': 'no-store',
  }
  response.writeHead(status, headers).end(page)
}
