import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The server that answers /api and /auth while the pages are served by Vite (npm run dev).
const backend = process.env.ORION_DEV_BACKEND ?? 'http://127.0.0.1:8080';

/**
 * Writes each text of the build once more, compressed, beside it: the server sends the twin to those
 * who accept it, and compresses nothing itself.
 */
function twins(): Plugin {
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
  const text = /\.(js|css|html|svg)$/;
  return {
    name: 'orion-compressed-twins',
    apply: 'build',
    writeBundle({ dir }) {
      if (!dir) return;
      for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        const file = join(dir, name);
        if (!text.test(name) || !statSync(file).isFile()) continue;
        const body = readFileSync(file);
        writeFileSync(`${file}.br`, brotliCompressSync(body, quality));
        writeFileSync(`${file}.gz`, gzipSync(body, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  root: at('./apps/workstation'),
  plugins: [react(), twins()],
  resolve: {
    alias: {
      '@model': at('./packages/model'),
      '@client': at('./packages/client'),
      '@ui': at('./packages/ui'),
      '@grid': at('./packages/grid'),
      '@features': at('./features'),
    },
  },
  build: {
    outDir: at('./dist'),
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 1200,
  },
  server: {
    proxy: {
      '/api': { target: backend, ws: true },
      '/auth': { target: backend },
    },
  },
  test: {
    root: at('.'),
    // Component tests ask for jsdom in their first line; the rest need no page and start at once.
    environment: 'node',
    include: ['{apps,features,packages}/**/*.test.{ts,tsx}'],
    setupFiles: [at('./vitest.setup.ts')],
  },
});
