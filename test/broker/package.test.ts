// The package's export `cadzero-auth/broker`, from the built file.
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { brokerOptions, newBrokerWorld } from '../support/broker.ts'

describe('cadzero-auth/broker', () => {
  it('mounts in another server', async () => {
    const { sandbox, backend, sessionId } = await newBrokerWorld()
    const require = createRequire(import.meta.url)
    const { createBroker } = require('cadzero-auth/broker') as typeof import('../../src/broker/broker.ts')
    const { secretKey, url: apiUrl } = backend
    const options = brokerOptions(sandbox, { secretKey, apiUrl, sessionTokens: 'unbound' })
    const broker = createBroker(options)
    const token = await backend.sessionToken(sessionId)
    const response = await broker(
      new Request('https://api.example.com/api/auth/refresh', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify({ session_id: sessionId }),
      }),
    )
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ session_id: sessionId, token: expect.any(String) })
  })
})
