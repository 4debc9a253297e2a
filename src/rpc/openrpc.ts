// The OpenRPC document of the contract, generated from the schemas that check the params.
import { toJsonSchema } from '@valibot/to-json-schema'
import type { GenericSchema } from 'valibot'
import { errors, methods, notifications } from './contract.ts'

interface ObjectSchema {
  readonly properties?: Record<string, unknown>
  readonly required?: readonly string[]
}

function schemaOf(schema: GenericSchema): object {
  const { $schema: _, ...rest } = toJsonSchema(schema)
  return rest
}

function paramsOf(schema: GenericSchema): object[] {
  const { properties = {}, required = [] } = schemaOf(schema) as ObjectSchema
  return Object.entries(properties).map(([name, schema]) => ({ name, required: required.includes(name), schema }))
}

/** Returns the OpenRPC document. It is not cached: only a developer asks for it. */
export function openRpcDocument(version: string): object {
  const described = Object.entries(methods).map(([name, { summary, params, result }]) => ({
    name,
    summary,
    paramStructure: 'by-name',
    params: paramsOf(params),
    result: { name: 'result', schema: schemaOf(result) },
    errors: Object.values(errors),
  }))
  const own = {
    name: 'rpc.discover',
    summary: 'Returns this document.',
    paramStructure: 'by-name',
    params: [],
    result: { name: 'result', schema: { type: 'object' } },
  }
  return {
    openrpc: '1.3.2',
    info: { title: 'cadzero-auth', version, description: 'JSON-RPC 2.0 over a WebSocket on loopback.' },
    methods: [...described, own],
    'x-notifications': Object.entries(notifications).map(([name, { summary, params }]) => ({
      name,
      summary,
      params: paramsOf(params),
    })),
  }
}
