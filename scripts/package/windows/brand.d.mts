// The types of brand.mjs.

/** @param version three numbers */
export function brand(path: string, version: string): Promise<void>
