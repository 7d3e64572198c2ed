// The README's pictures: the pages of a demo file as its busiest developers see them.
//   REFLOOP_URL        the public URL of a server of a demo file
//   REFLOOP_MARKET     the same server by the second project's host
//   REFLOOP_LISTENS    where the server is: host and port, for both
//   REFLOOP_EMAIL      whom to sign in as in the first project, and in the second
//   REFLOOP_MARKET_EMAIL
//   REFLOOP_PASSWORD   of both
//   REFLOOP_SHOTS      the directory for the pictures
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const LIMIT_SECONDS = 120;
setTimeout(() => {
  console.error(`FAILED: not done within ${LIMIT_SECONDS} s`);
  process.exit(1);
}, LIMIT_SECONDS * 1000).unref();

const setting = (name) => {
  if (process.env[name]) return process.env[name];
  console.error(`${name} is not set`);
  process.exit(1);
};
const api = { url: new URL(setting('REFLOOP_URL')).origin, email: setting('REFLOOP_EMAIL') };
const market = { url: new URL(setting('REFLOOP_MARKET')).origin, email: setting('REFLOOP_MARKET_EMAIL') };
const listens = setting('REFLOOP_LISTENS');
const password = setting('REFLOOP_PASSWORD');
const directory = setting('REFLOOP_SHOTS');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const desktop = { viewport: { width: 1280, height: 960 } };
const tall = { viewport: { width: 1120, height: 1245 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const PICTURES = [
  { name: 'dashboard', project: api, path: '/dashboard?days=365', device: tall, colorScheme: 'light' },
  { name: 'dashboard-dark', project: market, path: '/dashboard', device: tall, colorScheme: 'dark' },
  { name: 'dashboard-phone', project: api, path: '/dashboard', device: phone, colorScheme: 'light' },
  { name: 'partner', project: market, path: '/dashboard/partner', device: tall, colorScheme: 'light' },
  { name: 'partner-phone', project: market, path: '/dashboard/partner', device: phone, colorScheme: 'dark' },
  { name: 'leaderboard', project: api, path: '/leaderboard', device: desktop, colorScheme: 'light' },
  { name: 'leaderboard-phone', project: market, path: '/leaderboard?period=month', device: phone, colorScheme: 'dark' },
];

function check(what, holds, seen) {
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}

async function take(browser, { name, project, path, device, colorScheme }) {
  const context = await browser.newContext({ ...device, colorScheme, reducedMotion: 'reduce' });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const faults = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(`${project.url}/login`);
  await page.fill('#email', project.email);
  await page.fill('#password', password);
  await Promise.all([page.waitForURL(`${project.url}/dashboard*`), page.keyboard.press('Enter')]);
  const response = await page.goto(`${project.url}${path}`);
  check(`${path} is there`, response.status() === 200, response.status());
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check(`${name} does not scroll sideways`, wide <= device.viewport.width, wide);
  await page.screenshot({ path: join(directory, `${name}.png`) });
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false, resultTypes: ['violations'] }));
  const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  check(`axe finds nothing serious on ${name}`, bad.length === 0, bad);
  await page.setViewportSize({ width: 320, height: 844 });
  const narrow = await page.evaluate(() => document.documentElement.scrollWidth);
  check(`${name} does not scroll sideways at 320 px`, narrow <= 320, narrow);
  check(`no errors on ${name}`, faults.length === 0, faults);
  await context.close();
}

let browser;
try {
  mkdirSync(directory, { recursive: true });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', `--host-resolver-rules=MAP * ${listens}`, '--disable-component-update', '--disable-sync'],
  });
  for (const picture of PICTURES) await take(browser, picture);
  console.log(JSON.stringify({ ok: true, pictures: PICTURES.map(({ name }) => `${name}.png`) }));
} catch (fault) {
  console.error(`FAILED: ${fault.message}`);
  process.exitCode = 1;
} finally {
  await browser?.close();
}
