// The OpenRPC document: it describes every method, notification and error of the contract.
import { describe, expect, it } from 'vitest'
import { errors, methods, notifications } from '../../src/rpc/contract.ts'
import { openRpcDocument } from '../../src/rpc/openrpc.ts'

interface Param {
  readonly name: string
  readonly required: boolean
}

interface Document {
  readonly info: { readonly version: string }
  readonly methods: readonly {
    readonly name: string
    readonly summary: string
    readonly params: readonly Param[]
    readonly errors?: readonly unknown[]
  }[]
  readonly 'x-notifications': readonly { readonly name: string; readonly params: readonly Param[] }[]
}

const document = openRpcDocument('1.2.3') as Document

describe('the OpenRPC document', () => {
  it('lists every method with a summary and its errors, and rpc.discover', () => {
    expect(document.info.version).toBe('1.2.3')
    expect(document.methods.map(({ name }) => name)).toEqual([...Object.keys(methods), 'rpc.discover'])
    for (const { name, summary, errors: listed } of document.methods) {
      expect(summary, name).not.toBe('')
      if (name !== 'rpc.discover') expect(listed, name).toEqual(Object.values(errors))
    }
  })

  it('describes each param, and whether it is required', () => {
    const paramsOf = (method: string) => document.methods.find(({ name }) => name === method)?.params
    expect(paramsOf('getAuthHeader')).toEqual([
      { name: 'profile', required: false, schema: { type: 'string', minLength: 1, maxLength: 64 } },
      { name: 'minValiditySeconds', required: false, schema: expect.objectContaining({ type: 'number', minimum: 0 }) },
      { name: 'interactive', required: false, schema: { type: 'boolean' } },
      { name: 'userAsked', required: false, schema: { type: 'boolean' } },
    ])
    expect(paramsOf('importSession')?.map(({ name, required }) => [name, required])).toContainEqual(['token', true])
  })

  it('lists every notification with its params', () => {
    expect(document['x-notifications'].map(({ name }) => name)).toEqual(Object.keys(notifications))
    for (const { params } of document['x-notifications']) expect(params.map(({ name }) => name)).toContain('profile')
  })
})
