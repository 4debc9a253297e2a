// A session sealed in a compact JWE (RFC 7516, `dir` and `A256GCM`), bound to its profile, issuer, client, broker and key.
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import { OtherBrokerError } from './errors.ts'
import type { Installation } from './installation.ts'
import type { StoreKey } from './key.ts'
import { parseSession, type Session } from './session.ts'

/** Whose session a file holds. It is part of the protected header, so the file of another profile, issuer or client does not open. */
export interface Binding {
  readonly profile: string
  readonly issuer: string
  /** Null if the profile signs in by hand-off. */
  readonly clientId: string | null
  /** The broker that refreshes the session, as an absolute URL; null if there is none. */
  readonly broker: string | null
}

/** The protected header of an envelope: readable without the key, and authenticated only when the envelope opens. */
export interface EnvelopeHeader {
  /** Whether it says that it is the envelope of a session. */
  readonly isSession: boolean
  readonly version: unknown
  readonly keyId: unknown
  /** The id of the installation that wrote the envelope; undefined in an envelope of version 1.0 of the program. */
  readonly installation: unknown
  /** The computer and the data folder of that installation, as shown to people. */
  readonly place: unknown
}

const TYPE = 'cadzero-session+jwe'
export const ENVELOPE_VERSION = 1

export async function seal(
  session: Session,
  key: StoreKey,
  binding: Binding,
  installation: Installation,
): Promise<string> {
  return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(session)))
    .setProtectedHeader({
      alg: 'dir',
      enc: 'A256GCM',
      typ: TYPE,
      version: ENVELOPE_VERSION,
      kid: key.id,
      profile: binding.profile,
      iss: binding.issuer,
      client_id: binding.clientId,
      broker: binding.broker,
      installation: installation.id,
      installation_place: installation.place,
    })
    .encrypt(key.secret)
}

/** @throws if the text is not a JWE */
export function readHeader(envelope: string): EnvelopeHeader {
  const header = decodeProtectedHeader(envelope)
  const { typ, version, kid, installation, installation_place } = header
  return { isSession: typ === TYPE, version, keyId: kid, installation, place: installation_place }
}

/** Whether the key opens the envelope, whatever its binding. */
export async function opens(envelope: string, key: StoreKey): Promise<boolean> {
  return await decrypt(envelope, key).then(
    () => true,
    () => false,
  )
}

/**
 * An envelope without a broker opens for every broker: it is of version 1.0 of the program, or its session has no refresh token yet.
 * @throws OtherBrokerError; another error if the envelope was changed, was sealed with another key or for another binding, or
 *   holds no session
 */
export async function unseal(envelope: string, key: StoreKey, binding: Binding): Promise<Session> {
  const { plaintext, protectedHeader } = await decrypt(envelope, key)
  const { typ, version, profile, iss, client_id, broker } = protectedHeader
  if (typ !== TYPE || version !== ENVELOPE_VERSION) throw new Error('not a session envelope of this version')
  if (profile !== binding.profile || iss !== binding.issuer || client_id !== binding.clientId) {
    throw new Error('the envelope belongs to another profile, issuer or client')
  }
  if (typeof broker === 'string' && broker !== binding.broker) throw new OtherBrokerError(profile, broker)
  return parseSession(JSON.parse(new TextDecoder().decode(plaintext)))
}

function decrypt(envelope: string, key: StoreKey) {
  return compactDecrypt(envelope, key.secret, {
    keyManagementAlgorithms: ['dir'],
    contentEncryptionAlgorithms: ['A256GCM'],
  })
}
