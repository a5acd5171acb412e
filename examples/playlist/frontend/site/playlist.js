"use strict";

const byId = (id) => document.getElementById(id);

function length(seconds) {
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function row(song) {
    const made = document.createElement("tr");
    for (const text of [song.title, song.artist, length(song.seconds)]) {
        made.insertCell().textContent = text;
    }
    return made;
}

async function ask(path, options) {
    const response = await fetch(path, options);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
        throw new Error(answer.error || `the service answers ${response.status}`);
    }
    return answer;
}

async function show() {
    const answer = await ask("api/songs");
    byId("songs").replaceChildren(...answer.songs.map(row));
    const total = answer.songs.reduce((sum, song) => sum + song.seconds, 0);
    const count = answer.songs.length;
    byId("state").textContent = count === 0 ? "No songs yet." : `${count} ${count === 1 ? "song" : "songs"}, ${length(total)} in all`;
}

async function add(event) {
    event.preventDefault();
    const form = event.target;
    const {title, artist, seconds} = Object.fromEntries(new FormData(form));
    await ask("api/songs", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({title, artist, seconds: Number(seconds)}),
    });
    form.reset();
    await show();
}

async function version() {
    const answer = await ask("api/version");
    byId("version").textContent = `Version ${answer.version}, ${answer.revision.slice(0, 12)}`;
}

const told = (work) => (event) => work(event).catch((error) => { byId("state").textContent = `Sorry: ${error.message}.`; });

byId("add").addEventListener("submit", told(add));
told(show)();
told(version)();
