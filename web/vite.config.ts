import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// The server that answers /api and /auth while the pages are served by Vite (npm run dev).
const backend = process.env.ORION_DEV_BACKEND ?? 'http://127.0.0.1:8080';

export default defineConfig({
  root: at('./apps/workstation'),
  plugins: [react()],
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
