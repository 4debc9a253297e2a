// What `vite/client` declares in the web app.
interface ImportMeta {
  readonly env: Readonly<Record<string, string | undefined>>
}
