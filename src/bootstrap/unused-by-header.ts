// Stands in for Node.js's modules of TLS and compression in the bundle of `header`: `ws` loads them, and a connection to the
// daemon uses neither.
export {}
