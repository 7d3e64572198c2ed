// An operator who has never seen the console, in a demo file: signs in, finds the farmer, sees why he was held, rejects his
// referrals together, changes a reward after seeing what it would have cost, and finds all of it in the audit log.
//   REFLOOP_EMAIL, REFLOOP_PASSWORD  of the demo file's operator
//   REFLOOP_FARMER                   whom there is to find
//   REFLOOP_HANDS                    keyboard: nothing but keys is used; plain: without JavaScript
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

const { REFLOOP_EMAIL: email, REFLOOP_PASSWORD: password, REFLOOP_FARMER: farmer, REFLOOP_HANDS: hands } = process.env;
const MOST_TABS = 400;

/** What somebody hears of what has the focus: what it is called, and what it is. */
const focused = (page) => page.evaluate(() => {
  const here = document.activeElement;
  const plain = (text) => (text ?? '').replace(/\s+/g, ' ').trim();
  const label = here.labels?.[0]?.textContent ?? here.getAttribute('aria-label');
  const isButton = here.matches('button, summary');
  const tag = here.matches('a') ? 'link' : isButton ? 'button' : here.matches('input, select, textarea') ? 'field' : '';
  return { name: plain(isButton || !label ? here.textContent : label), tag, field: here.name ?? '', seen: here.matches(':focus-visible') };
});

/** Only keys: each thing is reached by Tab, and shows that it has the focus. */
function byKeyboard(page) {
  const reach = async (tag, isIt, what) => {
    for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
      const here = await focused(page);
      if (here.tag === tag && isIt(here)) return check(`${what} shows its focus`, here.seen);
      await page.keyboard.press('Tab');
    }
    throw new Error(`${what} is not reached by Tab on ${placeOf(page)}`);
  };
  const follow = async () => {
    await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  };
  const named = (name) => (here) => (name instanceof RegExp ? name.test(here.name) : here.name === name);
  return {
    link: async (name) => {
      await reach('link', named(name), `the link ${name}`);
      await follow();
    },
    press: async (name) => {
      await reach('button', named(name), `the button ${name}`);
      await follow();
    },
    fill: async (name, text) => {
      await reach('field', named(name), `the field ${name}`);
      await page.keyboard.press('Control+A');
      await page.keyboard.type(text);
    },
    fillField: async (field, text) => {
      await reach('field', (here) => here.field === field, `the field ${field}`);
      await page.keyboard.press('Control+A');
      await page.keyboard.type(text);
    },
  };
}

/** A mouse, and no script that would help. */
function byMouse(page) {
  return {
    link: (name) => page.getByRole('link', { name, exact: typeof name === 'string' }).first().click(),
    press: (name) => page.getByRole('button', { name, exact: typeof name === 'string' }).first().click(),
    fill: (name, text) => page.getByLabel(name, { exact: true }).first().fill(text),
    fillField: (field, text) => page.locator(`[name="${field}"]`).first().fill(text),
  };
}

const isKeyboard = hands === 'keyboard';

run(async (browser) => {
  const page = await newPage(browser, isKeyboard ? {} : { javaScriptEnabled: false });
  const operator = isKeyboard ? byKeyboard(page) : byMouse(page);
  const look = (label) => (isKeyboard ? inspect(page, `walk-${label}`) : undefined);
  const text = (selector) => page.locator(selector).textContent();

  await page.goto(`${origin}/admin/login`);
  await operator.fill('E-mail', email);
  await operator.fill('Password', password);
  await operator.press('Sign in');
  equal('the first page', placeOf(page), '/admin');
  await look('home');
  await operator.link('Demo API');
  equal('the overview', placeOf(page), '/admin/default');
  await look('overview');

  // The farmer: what waits says who, and why.
  await operator.link(/review/i);
  equal('the queue', placeOf(page), '/admin/default/review');
  const held = page.locator('[data-queue] > li').filter({ hasText: farmer });
  const fakes = await held.count();
  check('the farmer is in the queue', fakes >= 10, fakes);
  check('why, in words', (await held.first().textContent()).includes('network address'), await held.first().textContent());
  await look('review');
  const code = await held.first().locator('.queued-by code').textContent();
  await operator.link(/^hello@shop\d+\.example$/);
  check('a referral of his', placeOf(page).startsWith('/admin/default/review/ref_'), placeOf(page));
  const history = await text('main');
  for (const part of [farmer, code, 'Every decision', 'held under_review', 'address_burst', 'held from 100 on']) check(`its history says ${part}`, history.includes(part), history);
  await look('review-one');

  // All of his, after a look at the sums.
  await operator.link(code);
  await operator.link(`Reject all with ${code}…`);
  equal('the sums', placeOf(page), '/admin/default/review/reject');
  const all = Number(await page.locator('.metrics dd').first().textContent());
  check('how many', all >= fakes, await text('.metrics'));
  await look('review-bulk');
  await operator.fill('Reason, for the record', 'One network, many shops');
  await operator.press(`Reject ${all} referrals`);
  check('it says what was done', (await text('.done')).startsWith(`Rejected: ${all} referrals`), await text('.done'));
  equal('his are gone from the queue', await held.count(), 0);

  // A reward, after a look at what it would have cost.
  await operator.link('Program');
  equal('the program', placeOf(page), '/admin/default/program');
  await look('program');
  await operator.fillField('rules[1].amount', '750');
  await operator.press('See what it would have cost');
  equal('the preview', placeOf(page), '/admin/default/program/preview');
  const total = await text('#total');
  check('what it would have cost', /\+[\d,]+ credits/.test(total), total);
  check('what changes', (await text('main')).includes('500 credits → 750 credits'), await text('main'));
  await look('preview');
  await operator.fillField('reason', 'Spring campaign');
  await operator.press('Save as the next version');
  check('it is in force', /Version \d+ is in force/.test(await text('.done')), await text('.done'));

  // And all of it is on record.
  await operator.link('Audit log');
  equal('the log', placeOf(page), '/admin/default/audit');
  const log = page.locator('tbody tr');
  equal('each of his is in it', await log.filter({ hasText: 'referral.reject' }).filter({ hasNotText: 'referral.reject_all' }).count(), all);
  for (const [action, words] of [['referral.reject_all', 'One network, many shops'], ['program.change', 'Spring campaign'], ['operator.sign_in', '']]) {
    const row = log.filter({ hasText: action }).filter({ hasText: words }).filter({ hasText: email });
    check(`${action} is in the log, by whom and why`, (await row.count()) >= 1, await text('main'));
  }
  await look('audit');
});
