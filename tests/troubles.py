"""Troubles, and how an operator finds each on the dashboard, reads what it says, and repairs it there."""

import time

from browser import eventually
from scene import Operator, check

WELL = "Everything is synced and delivered"


class Troubles(Operator):
    def event_of(self, user):
        [(event,)] = self.scene.rows("SELECT id FROM lumo_events WHERE external_id = ? AND type = 'deposit.created'", user)
        return event

    def open_stuck(self, user):
        """From the list of callbacks to the one that is stuck, as a row of it tells it."""
        self.page.click("document.querySelectorAll('nav a')[2]", "Callbacks")
        self.page.until("document.title.startsWith('Callbacks')", "the callbacks are listed")
        self.page.js("document.querySelector('select[name=state]').focus()")
        self.page.press("r")
        self.title("Callbacks: retrying")
        self.page.until("document.activeElement.name === 'state'", "the keyboard stays at the filter")
        event = self.event_of(user)
        self.page.until(f"cell(row('callbacks', '{event}'), 'State') === 'retrying'", f"the stuck callback of {user} is listed")
        self.page.until(f"cell(row('callbacks', '{event}'), 'Callback').startsWith('12.5 USDT · new · user {user}')", "money first")
        self.page.until(f"cell(row('callbacks', '{event}'), 'Why').startsWith('failed once (answered 422')", "and why it waits")
        self.page.click(f"row('callbacks', '{event}')?.querySelector('a')", f"the event of {user}")
        self.title(f"deposit.created {user}")

    def a_stuck_callback(self):
        self.receiver.refuse("shop", "bob", 422, "no such customer")
        self.scene.deposit("bob")
        eventually("the callback of bob is stuck", lambda: [one[:2] for one in self.scene.of_user("bob")] == [("retrying", 1)])
        self.open_stuck("bob")
        tries = "[...find('attempts-shop').tBodies[0].rows]"
        told = f"{tries}.map((row) => ['Try', 'Answer', 'Said'].map((name) => cell(row, name)).join(' '))"
        self.page.until(f"{told}.some((one) => one.startsWith('1 422 ') && one.includes('no such customer'))", "the attempt tells what came back")
        check(self.page.js(f"{tries}.every((row) => / ago$/.test(cell(row, 'Started')) && /^\\d+ ms$/.test(cell(row, 'Took')))"), "each attempt has its times")
        check(self.page.js("find('to').value") == "shop", "the endpoint that lacks it is offered first")
        check(self.page.js("[...find('to').options].every((one) => one.value !== 'crm')"), "one that does not want it is not offered")

        self.receiver.take_everything()  # the operator has added the customer
        self.page.click("buttons(find('view'), 'Try now')[0]", "Try now")
        self.scene.until_delivered("bob")
        self.page.until(f"{told}.some((one) => one.startsWith('2 200'))", "the second attempt appears")
        self.page.until("buttons(find('view'), 'Try now').length === 0", "what is delivered cannot be tried again")
        check(self.scene.of_user("bob")[0][1] == 2, "bob's callback took two attempts")

    def a_callback_given_up(self):
        self.receiver.refuse("shop", "carol", 422, "no such customer")
        self.scene.deposit("carol")
        eventually("the callback of carol is stuck", lambda: [one[:2] for one in self.scene.of_user("carol")] == [("retrying", 1)])
        self.open_stuck("carol")
        self.page.click("buttons(find('view'), 'Give up…')[0]", "Give up…")
        asked = "document.querySelector('dialog[open]')"
        for words in ("1 callback to shop is given up: 12.5 USDT · new · user carol", "is not sent to shop any more", "To undo this, press “Try now”"):
            self.page.until(f"{asked}?.innerText.includes('{words}')", f"it says what will happen: {words}")
        self.page.press("Escape")
        self.page.until(f"{asked} == null", "it can be left as it is")
        check(self.scene.of_user("carol")[0][0] == "retrying", "then nothing is changed")
        self.page.click("buttons(find('view'), 'Give up…')[0]", "Give up…")
        self.page.until("document.activeElement === find('reason')", "it asks why")
        self.page.type("booked by hand")
        self.page.click(f"buttons({asked}, 'Give up 1 callback')[0]", "Give up 1 callback")
        eventually("it is skipped", lambda: self.scene.of_user("carol")[0][0] == "skipped")
        self.page.until("find('view').innerText.includes('booked by hand')", "the reason is shown")
        self.receiver.take_everything()
        self.home()
        self.verdict(WELL, "good")

    def dead_callbacks_of_one_user(self):
        self.receiver.refuse("ledger", "ivan", 422, "account closed")
        for _ in range(2):
            self.scene.deposit("ivan")

        def are_dead():
            self.scene.deposit("zoe")  # nothing dies while the endpoint takes nothing else
            time.sleep(0.5)
            return [one[0] for one in self.scene.of_user("ivan", "ledger")] == ["dead"] * 2

        eventually("both callbacks are dead", are_dead)
        self.verdict("ledger did not take them", "bad")
        self.needs_a_hand("2 callbacks are dead", "account closed 2 times; user ivan")
        self.to_do("Repair what refuses them, then press “Retry all”")
        self.receiver.take_everything()  # the operator has opened it again
        self.click_on("ledger", "Pause")
        self.shown("ledger", "paused")
        self.help_with("2 callbacks are dead", "Retry all")
        self.said("2 callbacks are due again; ledger is paused: they wait until “Resume” is pressed")
        self.click_on("ledger", "Resume")
        eventually("both are delivered", lambda: [one[0] for one in self.scene.of_user("ivan", "ledger")] == ["delivered"] * 2)
        self.verdict(WELL, "good")

    def an_endpoint_that_is_gone(self):
        self.receiver.refuse("shop", None, 410, "moved away")
        self.scene.deposit("dave")
        eventually("shop is suspended", lambda: self.scene.state_of("shop") == "suspended")
        self.shown("shop", "suspended")
        self.verdict("shop is suspended", "bad")
        self.needs_a_hand("shop is suspended", "answered 410")
        self.to_do("Repair the receiver, press “Test”, then “Resume”")
        self.scene.deposit("erin")
        eventually("chat still gets its own", lambda: self.receiver.of("chat", "erin"))
        self.page.until("cell(row('endpoints', 'shop'), 'Waiting') === '2'", "both callbacks wait")
        check(not self.receiver.of("shop", "erin"), "nothing is sent to what is suspended")
        self.help_with("shop is suspended", "Test")
        self.said("shop: not accepted")

        self.receiver.take_everything()  # the operator has repaired it
        self.click_on("shop", "Test")
        self.said("shop: accepted")
        check(self.scene.state_of("shop") == "suspended", "a test alone does not let it go")
        self.help_with("shop is suspended", "Resume")
        for user in ("dave", "erin"):
            self.scene.until_delivered(user)
        check(self.scene.state_of("shop") == "active", "shop is active again")
        self.shown("shop", "active")
        self.verdict(WELL, "good")

    def pause_and_resume(self):
        self.click_on("shop", "Pause")
        eventually("shop is paused", lambda: self.scene.state_of("shop") == "paused")
        self.shown("shop", "paused")
        self.verdict("shop is paused", "warn")
        self.needs_a_hand("shop is paused", "Paused by dashboard")
        self.scene.deposit("frank")
        eventually("chat gets it", lambda: self.receiver.of("chat", "frank"))
        self.to_do("“Resume” sends what waits, in order.")
        self.page.until("cell(row('endpoints', 'shop'), 'Waiting') === '1'", "shop's waits")
        self.page.click("[...row('endpoints', 'shop').cells].find((one) => one.dataset.label === 'Waiting').querySelector('a')", "what waits")
        self.title("Callbacks: waiting, shop")
        self.page.until("find('callbacks')?.tBodies[0].rows.length === 1", "what waits is listed, and nothing else")
        self.page.until("cell(row('callbacks', 'frank'), 'Why').startsWith('shop is paused since')", "and why it waits")
        check(self.page.js("buttons(row('callbacks', 'frank'), 'Resume shop').length") == 1, "its button says what helps")
        self.home()
        check(not self.receiver.of("shop", "frank"), "nothing is sent while it is paused")

        resume = "buttons(finding('shop is paused'), 'Resume')[0]"
        self.page.tab_to(resume, "Resume")
        check(self.page.js(f"({resume}).matches(':focus-visible')"), "what has the focus shows it")
        self.page.press("Enter")
        self.scene.until_delivered("frank")
        check(self.scene.state_of("shop") == "active", "shop is active again")
        self.shown("shop", "active")

    def an_endpoint_that_is_held(self):
        self.receiver.refuse("shop", None, 429, "slower", retry_after="3600")
        self.scene.deposit("judy")
        self.verdict("shop is held until", "warn")
        self.needs_a_hand("shop is held until", "answered 429")
        self.to_do("It ends by itself; “Resume” ends it now.")
        self.shown("shop", "held")
        self.receiver.take_everything()
        self.help_with("shop is held until", "Resume")
        self.scene.until_delivered("judy")
        self.verdict(WELL, "good")

    def an_item_that_cannot_be_read(self):
        wallet = self.scene.control("wallets", '{"external_id": "tab\\there"}')["id"]
        self.verdict("wallets: 1 item cannot be read", "warn")
        self.needs_a_hand("1 item cannot be read", "externalId contains a control character")
        self.page.click("finding('1 item cannot be read')?.querySelector('a.button')", "Show")
        self.title("Items that cannot be read: wallets")
        self.page.until(f"cell(row('rejects', '{wallet}'), 'Why').includes('control character')", "the item says why")
        self.home()

    def a_refused_key(self):
        key = self.scene.control("key")["api_key"]
        self.verdict("Lumo refuses the API key", "bad")
        self.page.until("find('hint').innerText.includes('lumo.api_key')", "it says what to do")
        self.page.until("row('listings', 'deposits').innerText.includes('API key')", "and the listing why it fails")
        (self.scene.directory / "key").write_text(key)
        self.scene.reload()
        self.page.until("!find('verdict').textContent.includes('API key')", "the right key is enough")
