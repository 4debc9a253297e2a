// A callback listener in a process of its own, so that it can run in another network namespace. Prints a JSON line for each
// event: its address first. Argument: the state that it expects, or none.
import { CallbackListener } from '../../src/callback/callback-listener.ts'
import { systemClock } from '../../src/host/clock.ts'
import { socketOwnerFinder } from '../../src/host/socket-owner.ts'

const say = (event: object) => void process.stdout.write(`${JSON.stringify(event)}\n`)
const listener = await CallbackListener.listen({
  address: { host: '127.0.0.1', port: 0, path: '/callback', losesState: false },
  clock: systemClock,
  socketOwner: socketOwnerFinder(),
  onCallback: async () => {
    say({ accepted: true })
    return 'forged' // a refusal: the listener keeps listening
  },
  signedInAs: () => null,
  onInterrupted: () => undefined,
  onRefused: (refused) => say({ refused }),
})
listener.expect(process.argv[2] ?? null)
say({ redirectUri: listener.redirectUri })
