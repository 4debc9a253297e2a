// A network without a proxy, for hosts whose requests a test answers itself.
import type { Network } from '../../src/host/network-view.ts'

export const directNetwork: Network = {
  configure: () => undefined,
  describe: async () => ({ proxy: null, certificates: [] }),
}
