//! One instance of two workers, one Bitbucket and a crowd, event by event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::{EventKind, Gate, Job, Pending, Progress, Step, Waiting, Watch};
use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Call, HeaderValue, Reply, Request, SetCookie};
use bitgate::time::UnixTime;
use bitgate_simulator::bitbucket::Bitbucket;

use crate::crowd::{DAY, Dice, Habits, MINUTE, SECOND, Visit, account_id};
use crate::plan::{Plan, Sessions};
use crate::report::Report;
use crate::support::Response;
use crate::support::browser::{Jar, SITE, location};
use crate::support::native_edge::{Memory, Seeded, environment, reply_of};

/// The midnight of the day that is simulated, in seconds since 1970. Before it people sign in.
const MIDNIGHT: u64 = 1_800_000_000;

/// What lies before it.
const BEFORE: u64 = 31 * DAY;

const WORKERS: u64 = 2;

/// How often a worker looks whether others have what its requests wait for. The adapter does it five times as
/// often.
const TICK: u64 = 500;

/// What happens at a moment.
enum Happening {
    /// Somebody opens a page.
    Page(u64),
    /// Somebody opens a page again that they did not get.
    Retry(u64, Visit),
    /// A part of a page is asked for.
    Part(u64, Visit),
    /// Somebody signs in, days before.
    SignIn(u64),
    /// Bitbucket gets a call.
    Asked(u64),
    /// Its answer arrives.
    Answered(u64),
    /// What waits is looked at.
    Tick,
    /// Somebody is removed from the workspace.
    Removal(u64),
    /// The day begins that is counted.
    Midnight,
}

/// A request on its way through the gate.
struct Stream {
    person: u64,
    worker: u64,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Page(Visit),
    Part(Visit),
    /// Back from Bitbucket, to see this then.
    Callback(Visit),
}

/// A call on its way to Bitbucket or back.
struct Flight {
    worker: u64,
    call: Option<Call>,
    reply: Option<Reply>,
    errand: Errand,
}

enum Errand {
    SignIn(Pending, Stream),
    Job {
        job: Job,
        watch: Option<(u64, Watch)>,
        asked_at: u64,
    },
}

struct Person {
    account_id: String,
    habits: Habits,
    jar: Jar,
    /// When cookies end, by name.
    ends: BTreeMap<String, u64>,
    /// Since when they try to get in.
    trying_since: Option<u64>,
    removed_at: Option<u64>,
    /// When they were let through for the last time.
    let_through_at: u64,
    dice: Dice,
}

pub struct Day {
    plan: Plan,
    now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    flights: HashMap<u64, Flight>,
    workers: Vec<Rc<Gate>>,
    waiting: Vec<(Stream, Box<Waiting>)>,
    is_ticking: bool,
    memory: Memory,
    random: Seeded,
    bitbucket: Bitbucket,
    people: Vec<Person>,
    /// When each question was asked whose answer is published: the one before the last, and the last.
    asked: HashMap<String, (Option<u64>, u64)>,
    dice: Dice,
    calls_before: BTreeMap<(&'static str, u16), usize>,
    report: Report,
}

impl Day {
    pub fn run(plan: Plan) -> Report {
        let mut day = Self::new(plan);
        while let Some(Reverse((time, sequence))) = day.queue.pop() {
            day.now = time;
            let happening = day.happenings.remove(&sequence).unwrap();
            day.happen(happening);
        }
        day.finish()
    }

    fn new(plan: Plan) -> Self {
        let gate = || {
            let config = Config::parse(plan.config().as_bytes(), &environment);
            Gate::new(config.expect("a good configuration")).unwrap()
        };
        let person = |number| {
            let mut dice = Dice::new(number + 1);
            Person {
                account_id: account_id(number),
                habits: Habits::of_a_day(&mut dice),
                jar: Jar::default(),
                ends: BTreeMap::new(),
                trying_since: None,
                removed_at: None,
                let_through_at: 0,
                dice,
            }
        };
        let mut day = Self {
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            flights: HashMap::new(),
            workers: (0..WORKERS).map(|_| gate()).collect(),
            waiting: Vec::new(),
            is_ticking: false,
            memory: Memory::default(),
            random: Seeded::default(),
            bitbucket: Bitbucket::new(plan.settings()),
            people: (0..plan.people).map(person).collect(),
            asked: HashMap::new(),
            dice: Dice::new(4_711),
            calls_before: BTreeMap::new(),
            report: Report {
                name: plan.name,
                people: plan.people,
                ..Report::default()
            },
            plan,
        };
        day.prepare();
        day
    }

    fn prepare(&mut self) {
        self.at(BEFORE, Happening::Midnight);
        for number in 0..self.plan.people {
            let person = &mut self.people[number as usize];
            let (arrival, mut days) = (person.habits.arrival(), vec![BEFORE]);
            if self.plan.worked_yesterday {
                days.push(BEFORE - DAY);
            }
            // A month's sign-ins were on its days, at the time of day at which each comes.
            let days_ago = person.dice.between(1, 31);
            for day in days {
                self.at(day + arrival, Happening::Page(number));
            }
            if self.plan.sessions == Sessions::Monthly {
                self.at(BEFORE - days_ago * DAY + arrival, Happening::SignIn(number));
            }
        }
        for nth in 0..self.plan.removed.min(self.plan.people) {
            let number = nth * (self.plan.people / self.plan.removed);
            let time = self.dice.between(9 * 60, 17 * 60) * MINUTE;
            self.at(BEFORE + time, Happening::Removal(number));
        }
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence)));
        self.happenings.insert(self.sequence, happening);
    }

    fn after(&mut self, span: u64, happening: Happening) {
        self.at(self.now + span, happening);
    }

    fn seconds(&self) -> u64 {
        MIDNIGHT - BEFORE / SECOND + self.now / SECOND
    }

    /// The time of the day that is counted.
    fn time(&self) -> Option<u64> {
        self.now.checked_sub(BEFORE)
    }

    fn is_bitbucket_down(&self) -> bool {
        let outage = self.plan.outage.zip(self.time());
        outage.is_some_and(|((from, until), time)| (from..until).contains(&time))
    }

    fn with_host<T>(&mut self, worker: u64, ask: impl FnOnce(&Rc<Gate>, &mut Host<'_>) -> T) -> T {
        let now = UnixTime(self.seconds());
        ask(
            &self.workers[worker as usize],
            &mut Host {
                now,
                random: &mut self.random,
                shared: &mut self.memory,
                signatures: &NativeSignatures,
            },
        )
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Page(number) => {
                let (pause, has_members) = (self.plan.pause, self.plan.has_member_pages);
                let person = &mut self.people[number as usize];
                let time = self.now % DAY;
                if let Some(next) = person.habits.next_page(time, pause, &mut person.dice) {
                    let next = self.now - time + next;
                    self.at(next, Happening::Page(number));
                }
                let person = &mut self.people[number as usize];
                let visit = Visit::of(number, has_members, &mut person.dice).page();
                // Who waits for a page that they did not get does not open another one.
                if self.people[number as usize].trying_since.is_none() {
                    self.open(number, Target::Page(visit));
                }
            }
            Happening::Retry(number, visit) => self.open(number, Target::Page(visit)),
            Happening::SignIn(number) => {
                let has_members = self.plan.has_member_pages;
                let visit = Visit::of(number, has_members, &mut self.dice).page();
                self.open(number, Target::Page(visit));
            }
            Happening::Part(number, visit) => self.open(number, Target::Part(visit)),
            Happening::Asked(flight) => self.asked(flight),
            Happening::Answered(flight) => self.answered(flight),
            Happening::Tick => {
                self.is_ticking = false;
                self.look_again(|_, _| true);
            }
            Happening::Removal(number) => {
                let person = &mut self.people[number as usize];
                person.removed_at = Some(self.now);
                self.bitbucket
                    .remove_member("acme", &person.account_id)
                    .unwrap();
            }
            Happening::Midnight => {
                self.calls_before = self.bitbucket.calls().clone();
                self.report = Report {
                    name: self.plan.name,
                    people: self.plan.people,
                    ..Report::default()
                };
            }
        }
    }

    /// A request comes to one of the workers.
    fn open(&mut self, number: u64, target: Target) {
        let (path, method, is_page) = match &target {
            Target::Page(visit) => (visit.path.clone(), visit.method, true),
            Target::Part(visit) => (visit.path.clone(), visit.method, false),
            Target::Callback(_) => panic!("a callback has a query"),
        };
        if is_page {
            self.people[number as usize]
                .trying_since
                .get_or_insert(self.now);
        }
        self.request(number, target, method, path, is_page);
    }

    fn request(&mut self, number: u64, target: Target, method: &str, path: String, is_page: bool) {
        let worker = self.dice.between(0, WORKERS);
        let (accept, mode, destination, site) = match is_page {
            true => ("text/html,*/*;q=0.8", "navigate", "document", "none"),
            false => ("*/*", "cors", "empty", "same-origin"),
        };
        let fields = [
            (":method", method.to_owned()),
            (":authority", "localhost:10000".to_owned()),
            (":path", path),
            ("accept", accept.to_owned()),
            ("cookie", self.cookies(number)),
            ("sec-fetch-dest", destination.to_owned()),
            ("sec-fetch-mode", mode.to_owned()),
            ("sec-fetch-site", site.to_owned()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let received = Request::read(fields.to_vec());
        let stream = Stream {
            person: number,
            worker,
            target,
        };
        if let Some(time) = self.time() {
            self.report.hour(time).requests += 1;
        }
        let step = self.with_host(worker, |gate, host| gate.on_request(received, host));
        self.perform(stream, step);
    }

    fn perform(&mut self, stream: Stream, step: Step) {
        let worker = stream.worker;
        match step {
            Step::Call(call, pending) => {
                self.dispatch(worker, Some(call), Errand::SignIn(pending, stream));
            }
            Step::Forward(forward) => {
                self.keep(stream.person, &forward.response.cookies);
                if let Some(renewal) = forward.renewal {
                    let watch = forward.response.watch.map(|watch| (stream.person, watch));
                    self.begin(worker, Job::Renewal(renewal), watch);
                }
                if let Some(ahead) = forward.ahead {
                    self.begin(worker, ahead, None);
                }
                self.let_through(&stream);
                self.served(stream);
            }
            Step::Wait(job, waiting) => {
                if let Some(job) = job {
                    self.begin(worker, job, None);
                }
                self.waiting.push((stream, waiting));
                if !self.is_ticking {
                    self.is_ticking = true;
                    self.after(TICK, Happening::Tick);
                }
            }
            Step::Respond(response, event) => {
                self.keep_all(stream.person, &response.headers);
                let reason = event.reason.map_or("none", |reason| reason.code());
                let location = response
                    .headers
                    .iter()
                    .find(|(name, _)| *name == "location");
                let location = location.map(|(_, value)| value.as_str().to_owned());
                self.refused(stream, (response.status, event.event, reason), location);
            }
            Step::Noted(..) => panic!("no rule here is on trial"),
        }
    }

    fn refused(
        &mut self,
        stream: Stream,
        (status, event, reason): (u16, EventKind, &'static str),
        location: Option<String>,
    ) {
        let number = stream.person;
        match (status, stream.target.clone()) {
            (302, Target::Page(visit)) => {
                let location = location.unwrap();
                let callback = self.consent(number, &location);
                let target = Target::Callback(visit);
                self.request(number, target, "GET", callback, true);
            }
            (302, Target::Callback(visit)) => {
                assert_eq!(event, EventKind::SignedIn);
                self.report.signed_in += 1;
                self.open(number, Target::Page(visit));
            }
            (401, Target::Part(_)) => self.report.without_session += 1,
            (403, Target::Page(_) | Target::Part(_)) => {
                assert!(
                    ["insufficient_permission", "not_a_member"].contains(&reason),
                    "{reason}"
                );
                self.denied(&stream);
                self.served(stream);
            }
            (502 | 503, target) => {
                if let Some(time) = self.time() {
                    self.report.unavailable(reason, time);
                }
                let visit = match target {
                    Target::Part(_) => return self.unknown(&stream, reason),
                    Target::Page(visit) => {
                        self.unknown(&stream, reason);
                        visit
                    }
                    Target::Callback(visit) => visit,
                };
                // They wait a little, and try again as long as they are there.
                let pause = self.dice.between(2 * MINUTE, 4 * MINUTE);
                let time = (self.now + pause) % DAY;
                let person = &mut self.people[number as usize];
                match person.habits.is_there(time) {
                    true => self.after(pause, Happening::Retry(number, visit)),
                    false => {
                        self.report.gave_up += 1;
                        person.trying_since = None;
                    }
                }
            }
            (status, _) => panic!("{status} {reason}"),
        }
    }

    /// At Bitbucket: yes, I agree. Gives the way back.
    fn consent(&mut self, number: u64, location: &str) -> String {
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, "http://127.0.0.1:10001/site/oauth2/authorize");
        let account_id = &self.people[number as usize].account_id;
        let form = format!("{query}&account={account_id}&decision=grant");
        let request = http::Request::post("/site/oauth2/authorize")
            .header("host", "127.0.0.1:10001")
            .header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(form.into_bytes()).unwrap();
        let answer = self.bitbucket.handle(self.seconds(), &request);
        assert_eq!(answer.status(), 302);
        location_of(&answer)
    }

    /// A page has come: its parts are asked for.
    fn served(&mut self, stream: Stream) {
        let number = stream.person;
        let Target::Page(visit) = stream.target else {
            return;
        };
        let person = &mut self.people[number as usize];
        let waited = person.trying_since.take().map(|since| self.now - since);
        if let Some(waited) = waited.filter(|waited| *waited >= MINUTE) {
            self.report.waits.push(waited);
        }
        if self.time().is_none() && !self.plan.worked_yesterday {
            return;
        }
        for _ in 1..self.plan.requests {
            let has_members = self.plan.has_member_pages;
            let person = &mut self.people[number as usize];
            let part = visit.part(number, has_members, &mut person.dice);
            let delay = person.dice.between(100, 1_500);
            self.after(delay, Happening::Part(number, part));
        }
    }

    fn keep(&mut self, number: u64, cookies: &[SetCookie]) {
        let mut response = http::Response::new(Vec::new());
        for cookie in cookies.iter().filter_map(SetCookie::header_value) {
            let value = cookie.as_str().parse().unwrap();
            response.headers_mut().append("set-cookie", value);
        }
        self.take(number, &response);
    }

    fn keep_all(&mut self, number: u64, headers: &[(&'static str, HeaderValue)]) {
        let mut response = http::Response::new(Vec::new());
        for (_, value) in headers.iter().filter(|(name, _)| *name == "set-cookie") {
            let value = value.as_str().parse().unwrap();
            response.headers_mut().append("set-cookie", value);
        }
        self.take(number, &response);
    }

    fn take(&mut self, number: u64, response: &Response) {
        let person = &mut self.people[number as usize];
        person.jar.take(response);
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, _) = line.split_once('=').unwrap();
            let max_age = line
                .split("; ")
                .find_map(|part| part.strip_prefix("Max-Age="));
            let max_age: u64 = max_age.unwrap().parse().unwrap();
            person
                .ends
                .insert(name.to_owned(), self.now + max_age * SECOND);
        }
    }

    /// The cookies that have not ended.
    fn cookies(&mut self, number: u64) -> String {
        let Person { jar, ends, .. } = &mut self.people[number as usize];
        jar.0.retain(|name, _| self.now < ends[name]);
        jar.header()
    }

    // Calls.

    fn begin(&mut self, worker: u64, job: Job, watch: Option<(u64, Watch)>) {
        let asked_at = self.seconds();
        let errand = Errand::Job {
            job,
            watch,
            asked_at,
        };
        self.dispatch(worker, None, errand);
    }

    /// `call` is the job's if there is none.
    fn dispatch(&mut self, worker: u64, call: Option<Call>, errand: Errand) {
        self.sequence += 1;
        let flight = self.sequence;
        self.flights.insert(
            flight,
            Flight {
                worker,
                call,
                reply: None,
                errand,
            },
        );
        let delay = match self.dice.percent(3) {
            true => self.dice.between(500, 3_000),
            false => self.dice.between(40, 250),
        };
        self.after(delay, Happening::Asked(flight));
    }

    fn asked(&mut self, number: u64) {
        let (now, is_down) = (self.seconds(), self.is_bitbucket_down());
        let flight = self.flights.get_mut(&number).unwrap();
        let call = match (&flight.call, &flight.errand) {
            (Some(call), _) => call,
            (None, Errand::Job { job, .. }) => job.call(),
            (None, Errand::SignIn(..)) => panic!("a sign-in brings its call"),
        };
        let is_api = call.authority == self.bitbucket.settings.api_host;
        flight.reply = Some(match is_down {
            true => Reply::Unreachable,
            false => reply_of(&mut self.bitbucket, now, call),
        });
        if let Some(time) = self.time().filter(|_| is_api && !is_down) {
            self.report.hour(time).calls += 1;
        }
        let delay = self.dice.between(40, 250);
        self.after(delay, Happening::Answered(number));
    }

    fn answered(&mut self, number: u64) {
        let flight = self.flights.remove(&number).unwrap();
        let Flight { worker, reply, .. } = flight;
        let reply = reply.unwrap();
        match flight.errand {
            Errand::SignIn(pending, stream) => {
                let step = self.with_host(worker, |_, host| pending.resume(reply, host));
                self.perform(stream, step);
            }
            Errand::Job {
                job,
                watch,
                asked_at,
            } => {
                let brings = job.brings();
                let progress = self.with_host(worker, |_, host| job.resume(reply, host));
                let event = match progress {
                    Progress::Again(job) => {
                        let errand = Errand::Job {
                            job,
                            watch,
                            asked_at,
                        };
                        return self.dispatch(worker, None, errand);
                    }
                    Progress::Done(event) => event,
                };
                match event.event {
                    EventKind::LookedUp => {
                        let before = self.asked.get(&brings).map(|(_, last)| *last);
                        self.asked.insert(brings.clone(), (before, asked_at));
                    }
                    EventKind::Renewed => self.report.renewed += 1,
                    _ => {}
                }
                if let Some((person, watch)) = watch {
                    let cookies =
                        self.with_host(worker, |gate, host| gate.late_cookies(&watch, host));
                    self.keep(person, &cookies.unwrap_or_default());
                }
                self.look_again(|stream, waiting| {
                    stream.worker == worker && waiting.wants(&brings)
                });
            }
        }
    }

    fn look_again(&mut self, is_due: impl Fn(&Stream, &Waiting) -> bool) {
        let waiting = std::mem::take(&mut self.waiting);
        for (stream, one) in waiting {
            if is_due(&stream, &one) {
                let step = self.with_host(stream.worker, |_, host| one.resume(host));
                self.perform(stream, step);
            } else {
                self.waiting.push((stream, one));
            }
        }
        if !self.waiting.is_empty() && !self.is_ticking {
            self.is_ticking = true;
            self.after(TICK, Happening::Tick);
        }
    }

    // What must hold.

    /// The questions that decide about a visit.
    fn questions(&self, number: u64, visit: &Visit) -> Vec<Vec<String>> {
        let account_id = &self.people[number as usize].account_id;
        self.plan.questions(account_id, visit.repository.is_some())
    }

    fn is_allowed_by_bitbucket(&self, number: u64, visit: &Visit) -> bool {
        let account_id = &self.people[number as usize].account_id;
        match &visit.repository {
            Some(repository) => {
                let held = self.bitbucket.permission_of(account_id, "acme", repository);
                held >= Some(visit.needs())
            }
            None => {
                use bitgate_simulator::bitbucket::Role;
                self.bitbucket.role_of(account_id, "acme") >= Some(Role::Member)
            }
        }
    }

    fn let_through(&mut self, stream: &Stream) {
        let (Target::Page(visit) | Target::Part(visit)) = &stream.target else {
            return;
        };
        let is_allowed = self.is_allowed_by_bitbucket(stream.person, visit);
        let questions = self.questions(stream.person, visit);
        let now = self.seconds();
        let (max_age, grace) = (self.plan.max_age_seconds(), self.plan.grace_seconds());
        let (mut greatest, mut settled) = (0, 0);
        for any in &questions {
            let mut asked = any.iter().filter_map(|question| self.asked.get(question));
            let (before, last) = *asked.find(|(_, last)| now - last < grace).unwrap();
            // A worker uses what it has until that is too old, though another one has newer.
            let still_used = before.filter(|asked_at| now - asked_at < max_age);
            greatest = greatest.max(now - still_used.unwrap_or(last));
            // And an old answer for ten seconds, once it could not be renewed.
            let is_settled = before.is_some() && now - last <= 12;
            settled = settled.max(now - before.filter(|_| is_settled).unwrap_or(last));
        }
        assert!(greatest <= grace, "rights of {greatest} s were used");
        if let Some(time) = self.time() {
            self.report.used(greatest, time);
            self.report.allowed += 1;
        }
        let seconds = self.now / SECOND;
        let person = &mut self.people[stream.person as usize];
        match person.removed_at {
            None => assert!(is_allowed, "{} was let through", person.account_id),
            Some(removed_at) => {
                let since = seconds - removed_at / SECOND;
                assert!(
                    since <= greatest.max(settled.min(grace)),
                    "removed {since} s ago, let through by rights of {greatest} s"
                );
            }
        }
        person.let_through_at = self.now;
    }

    fn denied(&mut self, stream: &Stream) {
        let (Target::Page(visit) | Target::Part(visit)) = &stream.target else {
            return;
        };
        let is_allowed = self.is_allowed_by_bitbucket(stream.person, visit);
        assert!(
            !is_allowed,
            "person {} was denied {}",
            stream.person, visit.path
        );
        if let Some(time) = self.time() {
            self.report.denied += 1;
            self.report.hour(time).refused += 1;
        }
    }

    /// Nobody could say: then something must have been unknown.
    fn unknown(&self, stream: &Stream, reason: &str) {
        let (Target::Page(visit) | Target::Part(visit)) = &stream.target else {
            return;
        };
        // Of who was removed the list of workspaces is asked for as well, in which they may have another one.
        let was_removed = self.people[stream.person as usize].removed_at.is_some();
        if reason == "renewal_unavailable" || was_removed {
            return;
        }
        let (now, grace) = (self.seconds(), self.plan.grace_seconds());
        let questions = self.questions(stream.person, visit);
        let is_known = questions.iter().all(|any| {
            let mut asked = any.iter().filter_map(|question| self.asked.get(question));
            asked.any(|(_, last)| now - last < grace)
        });
        assert!(!is_known, "person {} was known: {reason}", stream.person);
    }

    fn finish(mut self) -> Report {
        assert!(self.waiting.is_empty() && self.flights.is_empty());
        let mut report = self.report;
        for person in &self.people {
            if let Some(after) = person
                .removed_at
                .and_then(|at| person.let_through_at.checked_sub(at))
            {
                report.after_removal.push(after);
            }
        }
        let settings = &self.bitbucket.settings;
        let consumer = settings.consumers[0].client_id.clone();
        let bot = settings.access_tokens[0].token.clone();
        report.busiest_hour_of_consumer = self.bitbucket.usage_of(&consumer).busiest_hour;
        report.busiest_hour_of_bot = self.bitbucket.usage_of(&bot).busiest_hour;
        report.rate_limited = self.bitbucket.rate_limited();
        for (kind, count) in self.bitbucket.calls() {
            let before = self.calls_before.remove(kind).unwrap_or(0);
            if *count > before {
                report.calls.insert(*kind, count - before);
            }
        }
        report
    }
}

fn location_of(answer: &http::Response<Vec<u8>>) -> String {
    let callback = location(answer);
    callback.strip_prefix(SITE).expect("our address").to_owned()
}
