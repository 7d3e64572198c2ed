// What the browser tests have in common: Chromium, checks, and a look at each page by axe, on phones, light and dark.
//   REFLOOP_URL                     base URL of a running server
//   REFLOOP_STRIPE                  optional: another origin that pages may lead to
//   REFLOOP_SHOTS                   optional: a directory for screenshots
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const LIMIT_SECONDS = 300;
setTimeout(() => {
  console.error(`FAILED: not done within ${LIMIT_SECONDS} s`);
  process.exit(1);
}, LIMIT_SECONDS * 1000).unref();

if (!process.env.REFLOOP_URL) {
  console.error('REFLOOP_URL is not set');
  process.exit(1);
}
export const origin = new URL(process.env.REFLOOP_URL).origin;
const known = [origin, process.env.REFLOOP_STRIPE].filter(Boolean).map((url) => new URL(url).origin);
const shotsDir = process.env.REFLOOP_SHOTS;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let checks = 0;
const faults = new Set();
export function check(what, holds, seen) {
  checks += 1;
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}
export const equal = (what, seen, wanted) => check(`${what} is ${JSON.stringify(wanted)}`, seen === wanted, seen);
export const placeOf = (page) => new URL(page.url()).pathname;

/** Notes console errors, CSP violations, script errors and requests to other hosts, for the last check. */
function watch(context) {
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && !known.includes(url.origin)) faults.add(`request to ${url.origin}`);
  });
  context.on('console', (message) => {
    // Chromium reports the refusals that this test provokes as errors of the page itself.
    if (/^Failed to load resource: the server responded with a status of (4\d\d|503)/.test(message.text())) return;
    if (message.type() === 'error' || /content security policy/i.test(message.text())) faults.add(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => faults.add(`script: ${error.error()}`));
}

export async function newPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(10_000);
  watch(context);
  return context.newPage();
}

/** Runs axe in both colour schemes, looks for sideways scrolling on phones, and takes the screenshots. */
export async function inspect(page, label) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axeSource);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false, resultTypes: ['violations'] }));
    const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
    check(`axe finds nothing serious on ${label}, ${colorScheme}`, bad.length === 0, bad);
    for (const [device, width, height] of [['desktop', 1280, 900], ['phone', 390, 844]]) {
      if (!shotsDir) continue;
      await page.setViewportSize({ width, height });
      // A picture of more than there is room for comes out with holes where something on the page scrolls by itself.
      const tall = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width, height: Math.max(height, tall) });
      await page.screenshot({ path: join(shotsDir, `${label}-${device}-${colorScheme}.png`) });
    }
  }
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(`${label} does not scroll sideways at ${width} px`, wide <= width, wide);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Runs a test in a browser of its own, and says what came of it. */
export async function run(test) {
  let browser;
  try {
    if (shotsDir) mkdirSync(shotsDir, { recursive: true });
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    await test(browser);
    check('no console error, no CSP violation, no request elsewhere', faults.size === 0, [...faults]);
    await browser.close();
    console.log(JSON.stringify({ ok: true, checks }));
  } catch (error) {
    console.error(`FAILED after ${checks} checks: ${error.stack}`);
    if (faults.size) console.error(`noted besides:\n  ${[...faults].join('\n  ')}`);
    await browser?.close().catch(() => {});
    process.exitCode = 1;
  }
}
