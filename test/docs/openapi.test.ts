// The OpenAPI document of the broker: it is valid, complete, and the one that the docs and the broker itself have.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { openApiDocument } from '../../src/broker/openapi.ts'
import { ROUTES } from '../../src/broker/request.ts'
import { brokerEnv, spawnBroker } from '../support/broker-process.ts'
import { newSandbox } from '../support/world.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> }
  readonly responses: Record<string, { readonly description?: string }>
}

const document = openApiDocument(manifest.version) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

describe('the OpenAPI document', () => {
  it('conforms to OpenAPI 3.1', async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
  })

  it('has every route of the broker', () => {
    const posts = operations.filter(({ method }) => method === 'post').map(({ path }) => path)
    expect(posts.sort()).toEqual(Object.keys(ROUTES).sort())
  })

  it('names each operation once, and describes every answer', () => {
    const ids = operations.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(operations.length)
    for (const { path, operation } of operations) {
      expect(operation.summary, path).toMatch(/^[A-Z].*\.$/)
      for (const { description } of Object.values(operation.responses)) expect(description, path).toBeTruthy()
    }
  })

  it('describes the session token, the proof and what may be sent in a body', () => {
    const refresh = document.paths['/api/auth/refresh']?.post
    expect(refresh?.requestBody?.content['application/json']?.schema).toMatchObject({
      oneOf: [{ required: ['refresh_token'] }, { required: ['session_id'] }],
    })
  })

  it('is written to docs/ (run npm run openapi)', () => {
    const path = fileURLToPath(new URL('../../docs/broker-openapi.json', import.meta.url))
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(document)
  })

  it('is served by the broker', async () => {
    const { url } = await spawnBroker(await brokerEnv(await newSandbox()))
    const response = await fetch(`${url}/openapi.json`)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual(document)
  })
})
