// Sign-up, sign-out, sign-in, a new password and the account page in a real browser: keyboard, screen-reader wiring,
// contrast, phone widths, no JavaScript. Settings: harness.mjs.
import { randomBytes } from 'node:crypto';
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

/** Sends the form that has this button, and returns the status of the answer to the form itself. */
async function press(page, name) {
  const answer = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.getByRole('button', { name, exact: true }).click();
  const status = (await answer).status();
  await page.waitForLoadState();
  return status;
}

async function signIn(page, person, password = person.password) {
  await page.locator('#email').fill(person.email);
  await page.locator('#password').fill(password);
  return press(page, 'Sign in');
}

/** The dashboard is not this test's: only that the sign-in leads there. */
const isSignedIn = async (page) => {
  await page.goto(`${origin}/account`);
  return placeOf(page) === '/account';
};

/** A field's message is tied to it and linked from the summary, which has the focus. */
async function fieldError(page, id) {
  await page.locator('[role=alert]:focus').waitFor();
  equal(`aria-invalid of #${id}`, await page.locator(`#${id}`).getAttribute('aria-invalid'), 'true');
  const described = (await page.locator(`#${id}`).getAttribute('aria-describedby')).split(' ');
  check(`#${id} is described by its message`, described.includes(`${id}-error`), described);
  await page.locator(`[role=alert] a[href="#${id}"]`).click();
  check(`#${id} is in sight`, await page.locator(`#${id}`).isVisible());
}

async function signUp(page, person) {
  await page.goto(`${origin}/signup`);
  await page.locator('#name').fill(person.name);
  await page.locator('#email').fill(person.email);
  await page.locator('#password').fill(person.password);
  equal('signing up', await press(page, 'Create account'), 201);
  equal('the way on', await page.getByRole('link', { name: 'Open your dashboard' }).getAttribute('href'), '/dashboard');
}

async function theWholeWay(browser, person, { javaScriptEnabled }) {
  const [page, other] = [await newPage(browser, { javaScriptEnabled }), await newPage(browser, { javaScriptEnabled })];
  // axe is a script.
  const look = (label) => (javaScriptEnabled ? inspect(page, label) : Promise.resolve());
  await signUp(page, person);
  check('who has signed up is signed in', await isSignedIn(page));
  await page.goto(`${origin}/signup`);
  check('who is signed in is told so', await page.getByText(`You are signed in as ${person.name}`).isVisible());
  await look('signup-signed-in');

  await page.goto(`${origin}/account`);
  equal('signing out', await press(page, 'Sign out'), 303);
  equal('where it leads', placeOf(page), '/login');
  check('the page says so', await page.getByText('You are signed out.').isVisible());
  check('and is over', !(await isSignedIn(page)));
  equal('where the account page leads', new URL(page.url()).search, '?next=/account');
  await look('login');
  equal('a wrong password', await signIn(page, person, 'wrong password'), 401);
  await page.locator('[role=alert]:focus').waitFor();
  equal('the e-mail kept', await page.locator('#email').inputValue(), person.email);
  equal('the password', await page.locator('#password').inputValue(), '');
  await look('login-error');
  equal('the right password', await signIn(page, person), 303);
  equal('the way on that was asked for', placeOf(page), '/account');

  // Another browser, and a new password here.
  await other.goto(`${origin}/login`);
  await signIn(other, person);
  check('another browser is in', await isSignedIn(other));
  await page.goto(`${origin}/account`);
  equal('browsers listed', await page.locator('.sessions li').count(), 2);
  equal('which is this one', await page.locator('.sessions li', { hasText: 'This browser' }).count(), 1);
  check('they have a name', (await page.locator('.sessions li').first().innerText()).includes('Chrome on Linux'));
  await look('account');
  const change = async (current, fresh) => {
    await page.locator('#current_password').fill(current);
    await page.locator('#new_password').fill(fresh);
    return press(page, 'Change password');
  };
  equal('a wrong current password', await change('wrong password', `new ${person.password}`), 422);
  await fieldError(page, 'current_password');
  equal('a short new password', await change(person.password, 'short'), 422);
  await fieldError(page, 'new_password');
  await look('account-error');
  equal('the right ones', await change(person.password, `new ${person.password}`), 303);
  check('the page says so', await page.getByText('Your password is changed.').isVisible());
  check('this browser is still in', await isSignedIn(page));
  check('the other one is not', !(await isSignedIn(other)));
  equal('the old password', await signIn(other, person), 401);
  equal('the new password', await signIn(other, person, `new ${person.password}`), 303);
  await page.goto(`${origin}/account`);
  equal('signing out elsewhere', await press(page, 'Sign out everywhere else'), 303);
  await page.locator('.done').waitFor();
  await look('account-done');
  check('the other one is out', !(await isSignedIn(other)));
  check('this one is in', await isSignedIn(page));

  // The profile, and the end.
  await page.locator('#name').fill('');
  equal('no name', await press(page, 'Save profile'), 422);
  await fieldError(page, 'name');
  await page.locator('#name').fill(`${person.name} Longer-Name-Than-Most-People-Have-It`);
  equal('a longer name', await press(page, 'Save profile'), 303);
  check('the page says so', await page.getByText('Your profile is saved.').isVisible());
  const erase = async (confirmation) => {
    await page.locator('#erase_confirmation').fill(confirmation);
    await page.locator('#erase_password').fill(`new ${person.password}`);
    return press(page, 'Erase my account');
  };
  await page.locator('summary').click();
  await look('account-erase');
  equal('to erase without meaning it', await erase('no'), 422);
  await fieldError(page, 'erase_confirmation');
  equal('to erase', await erase('erase'), 303);
  equal('the last page', placeOf(page), '/account/erased');
  await look('account-erased');
  check('it is over', !(await isSignedIn(page)));
  await Promise.all([page, other].map((each) => each.context().close()));
}

/** From the sign-in's first field on, with the keyboard alone. */
async function byKeyboard(browser, person) {
  const page = await newPage(browser);
  await page.goto(`${origin}/login`);
  const reach = async (selector) => {
    for (let step = 0; step < 20; step += 1) {
      if (await page.locator(`${selector}:focus`).count()) return;
      await page.keyboard.press('Tab');
    }
    check(`${selector} is reached with the Tab key`, false);
  };
  await reach('#email');
  await page.keyboard.type(person.email);
  await reach('#password');
  await page.keyboard.type(person.password);
  const reveal = page.getByRole('button', { name: 'Show password' });
  await reveal.click();
  equal('the password once shown', await page.locator('#password').getAttribute('type'), 'text');
  await page.locator('#password').focus();
  const answer = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.keyboard.press('Enter');
  equal('signing in with Enter', (await answer).status(), 303);
  await page.context().close();
}

await run(async (browser) => {
  const id = randomBytes(5).toString('hex');
  const person = (name) => ({
    name,
    email: `${name.toLowerCase()}-${id}@${name.toLowerCase()}${id}.example`,
    password: `correct horse ${id}`,
  });
  const [dora, emil, finn] = ['Dora', 'Emil', 'Finn'].map(person);
  await theWholeWay(browser, dora, { javaScriptEnabled: true });
  await theWholeWay(browser, emil, { javaScriptEnabled: false });
  const page = await newPage(browser);
  await signUp(page, finn);
  await byKeyboard(browser, finn);
});
