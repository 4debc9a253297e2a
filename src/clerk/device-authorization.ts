// What is believed of a device authorization response (RFC 8628 section 3.2): the user will read and open it.
import type { DeviceAuthorizationResponse } from 'openid-client'
import { isSecureTransport } from '../host/network.ts'
import { UnavailableError } from './errors.ts'
import type { DeviceAuthorization } from './identity-provider.ts'

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

const DEFAULT_INTERVAL = 5 // s; RFC 8628 section 3.2
const LONGEST_URL = 2048
const USER_CODE = /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/ // a terminal shows it

/** @throws UnavailableError if the user could not use the response, or should not be shown it */
export function parseDeviceResponse(
  response: DeviceAuthorizationResponse,
  issuer: string,
): Omit<DeviceAuthorization, 'poll'> {
  const { user_code, verification_uri, verification_uri_complete, expires_in, interval } = response
  const verificationUri = pageOf(verification_uri, issuer)
  if (!USER_CODE.test(user_code) || verificationUri === null) throw new UnavailableError('server')
  return {
    userCode: user_code,
    verificationUri,
    verificationUriComplete: pageOf(verification_uri_complete, issuer),
    lifetime: expires_in,
    interval: interval ?? DEFAULT_INTERVAL,
  }
}

/** The page may be at another host than the issuer, but the browser must reach it over `https`, as the issuer itself. */
function pageOf(text: string | undefined, issuer: string): string | null {
  if (text === undefined || text.length > LONGEST_URL || !URL.canParse(text)) return null
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || !isSecureTransport(url)) return null
  return url.protocol === 'https:' || issuer.startsWith('http:') ? url.href : null
}
