// The pages that mail leads to, in a real browser and by the keyboard, and the mails themselves.
//   REFLOOP_URL     base URL of a running server with mail
//   REFLOOP_MAILS   a directory with the HTML of a mail each: milestone.html, confirm.html, reset.html
//   REFLOOP_SHOTS   optional: a directory for screenshots
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
const origin = new URL(setting('REFLOOP_URL')).origin;
const mailsDir = setting('REFLOOP_MAILS');
const shotsDir = process.env.REFLOOP_SHOTS;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const mail = (name) => readFileSync(join(mailsDir, `${name}.html`), 'utf8');

let checks = 0;
const faults = new Set();
function check(what, holds, seen) {
  checks += 1;
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}

function watch(context) {
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && url.origin !== origin) faults.add(`request to ${url.origin}`);
  });
  context.on('console', (message) => {
    // Chromium reports the 4xx answers that this test provokes as errors of the page itself.
    if (message.text().startsWith('Failed to load resource: the server responded with a status of 4')) return;
    if (message.type() === 'error' || /content security policy/i.test(message.text())) faults.add(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => faults.add(`script: ${error.error()}`));
}

async function newContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(10_000);
  watch(context);
  return context;
}

/** axe in both colour schemes, sideways scrolling on phones, screenshots. */
async function inspect(page, label) {
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
      await page.screenshot({ path: join(shotsDir, `${label}-${device}-${colorScheme}.png`), fullPage: true });
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

const heading = (page) => page.locator('h1').innerText();

/** A mail by itself: not as a part of the page before, whose policy would hold for it. */
async function show(page, name) {
  await page.goto('about:blank');
  await page.setContent(mail(name));
}

/** Opens a mail as a reader does, looks at it, and follows its link. */
async function follow(page, name, link) {
  await show(page, name);
  await inspect(page, `mail-${name}`);
  await page.getByRole('link', { name: link, exact: true }).click();
  await page.waitForLoadState();
}

async function chooseAPassword(page) {
  await page.goto(`${origin}/forgot`);
  await inspect(page, 'forgot');
  await page.getByLabel('E-mail').fill('alice');
  await page.keyboard.press('Enter');
  await page.locator('#errors').waitFor();
  check('the fault is in the title', (await page.title()).startsWith('Error: '), await page.title());
  check('the fault has the focus', await page.locator('#errors').evaluate((alert) => alert === document.activeElement));
  await inspect(page, 'forgot-fault');
  await page.getByLabel('E-mail').fill('alice@alice.example');
  await page.keyboard.press('Enter');
  await page.getByText('a mail with a link is on its way').waitFor();
  await inspect(page, 'forgot-sent');

  await follow(page, 'reset', 'Choose a new password');
  check('the form is for a password', await heading(page) === 'Choose a new password', await heading(page));
  await inspect(page, 'reset');
  await page.getByLabel('New password').fill('short');
  await page.keyboard.press('Enter');
  await page.getByText('Use at least 8 characters.').waitFor();
  check('what was typed is not given back', await page.locator('#password').inputValue() === '');
  await page.getByLabel('New password').fill('chosen in a browser');
  await page.getByRole('button', { name: 'Set the password' }).click();
  await page.getByText('Your password is changed').waitFor();
  await inspect(page, 'reset-done');
  await show(page, 'reset');
  await page.getByRole('link', { name: 'Choose a new password', exact: true }).click();
  await page.getByText('The link was used before').waitFor();
  await inspect(page, 'reset-used');
}

async function confirm(page) {
  await follow(page, 'confirm', 'Confirm the address');
  await inspect(page, 'confirm');
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await page.getByText('Your address is confirmed').waitFor();
  await page.getByText('starts with 1,000 credits').waitFor();
  await inspect(page, 'confirm-done');
}

async function decline(page) {
  await follow(page, 'milestone', 'No more mails about milestones');
  await inspect(page, 'unsubscribe');
  await page.getByRole('button', { name: 'No more such mails' }).click();
  await page.getByText('You get no more mails about milestones.').waitFor();
  await inspect(page, 'unsubscribe-done');
}

if (shotsDir) mkdirSync(shotsDir, { recursive: true });
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const context = await newContext(browser);
  await chooseAPassword(await context.newPage());
  await confirm(await context.newPage());
  await decline(await context.newPage());
  check('no page put a fault on the console, or asked another host', faults.size === 0, [...faults]);
  console.log(JSON.stringify({ ok: true, checks }));
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
