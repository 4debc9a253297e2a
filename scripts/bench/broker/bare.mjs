// The yardstick of the bench: a server that reads a request, asks Clerk for a token, and answers. It does nothing else.
// It sends its request by Node's own fetch, which keeps the connections, as the server of most operators does.
import { createServer } from 'node:http'

const [, , clerk] = process.argv
const headers = {
  authorization: 'Bearer sk_test_bench',
  'content-type': 'application/json',
  accept: 'application/json',
}

createServer((request, response) => void answer(request, response).catch(() => response.destroy())).listen(
  0,
  '127.0.0.1',
  function () {
    process.stdout.write(`listening on http://127.0.0.1:${this.address().port}\n`)
  },
)

async function answer(request, response) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const { session_id: id } = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  const asked = await fetch(`${clerk}/v1/sessions/${id}/tokens`, { method: 'POST', headers })
  const { jwt } = await asked.json()
  response.writeHead(asked.status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ token: jwt, expires_in: 60, session_id: id }))
}
