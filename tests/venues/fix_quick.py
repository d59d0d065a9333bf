"""QuickFIX, a FIX engine of others in C++, as broker or as desk: a program.

It is told what to do on its standard input, a line each (trade o-1 50, send D 11=o-1 ...) until
it is killed, and says what came on its standard output, as JSON.
"""

import json
import sys
from pathlib import Path

import quickfix as fix

SETTINGS = """[DEFAULT]
ConnectionType={role}
ReconnectInterval=1
FileStorePath={folder}/store
StartTime=00:00:00
EndTime=00:00:00
HeartBtInt=1
UseDataDictionary=Y
DataDictionary={words}
SocketReuseAddress=Y
{more}
[SESSION]
BeginString=FIX.4.4
SenderCompID={sender}
TargetCompID={target}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketAcceptPort={port}
"""


def words():
    "QuickFIX's own dictionary of FIX 4.4"
    here = Path(fix.__file__).parent
    return next(p for base in (here, *here.parents[:4]) for p in base.glob("**/quickfix/FIX44.xml"))


def say(**event):
    print(json.dumps(event), flush=True)


class Side(fix.Application):
    "One side, which says what comes"

    def onCreate(self, session):
        names = (
            str(part.getValue()) for part in (session.getSenderCompID(), session.getTargetCompID())
        )
        self.session = fix.SessionID("FIX.4.4", *names)  # a copy: C++ keeps that one

    def onLogon(self, session):
        say(up=True)

    def onLogout(self, session):
        say(up=False)

    def toAdmin(self, message, session):
        pass

    def toApp(self, message, session):
        pass

    def fromAdmin(self, message, session):
        kind = message.getHeader().getField(35)
        if kind == "3":
            say(rejected=_get(message, 58))

    def fromApp(self, message, session):
        kind = message.getHeader().getField(35)
        say(kind=kind, fields={tag: _get(message, tag) for tag in (11, 17, 39, 150)})
        self.heard(kind, message)

    def heard(self, kind, message):
        "What a subclass does about it"

    def send(self, kind, fields):
        message = fix.Message()
        message.getHeader().setField(35, kind)
        for tag, value in fields.items():
            message.setField(tag, str(value))
        fix.Session.sendToTarget(message, self.session)


def _get(message, tag):
    return message.getField(tag) if message.isSetField(tag) else ""


class Broker(Side):
    "Acknowledges each order and trades half of it; the rest when told"

    def __init__(self):
        super().__init__()
        self.orders, self.number = {}, 0

    def heard(self, kind, message):
        name = _get(message, 11)
        if kind == "D" and name not in self.orders:
            self.orders[name] = [_get(message, 55), _get(message, 54), int(_get(message, 38)), 0]
            self.report(name, "0")
            self.trade(name, self.orders[name][2] // 2)
        elif kind in ("D", "H"):
            self.report(name, "I")
        elif kind == "F":
            self.report(_get(message, 41), "4", cancel=name)

    def trade(self, name, shares):
        self.orders[name][3] += shares
        self.report(name, "F", shares)

    def report(self, name, kind, shares=0, cancel=""):
        self.number += 1
        asset, side, whole, done = self.orders.get(name, ["AAA", "1", 0, 0])
        state = "8" if not whole else "2" if done == whole else "1" if done else "0"
        fields = {37: f"X{name}", 11: name, 17: f"e{self.number}", 150: kind, 39: state}
        fields |= {55: asset, 54: side, 14: done, 151: whole - done, 6: 10 if done else 0}
        fields |= {32: shares, 31: 10} if kind == "F" else {}
        fields |= {11: cancel, 41: name, 39: 4, 151: 0} if cancel else {}
        self.send("8", fields | ({103: 5} if not whole else {}))


def main(role, port, folder, more):
    Path(folder).mkdir(parents=True, exist_ok=True)
    sender, target = ("BROKER", "DESK") if role == "acceptor" else ("DESK", "BROKER")
    path = Path(folder, "settings.cfg")
    named = {"sender": sender, "target": target, "port": port, "words": words(), "more": more}
    path.write_text(SETTINGS.format(role=role, folder=folder, **named))
    settings = fix.SessionSettings(str(path))
    side, store = Broker() if role == "acceptor" else Side(), fix.FileStoreFactory(settings)
    made = fix.SocketAcceptor if role == "acceptor" else fix.SocketInitiator
    engine = made(side, store, settings)
    engine.start()
    say(started=True)
    for line in sys.stdin:
        what, name, *rest = line.split()
        if what == "trade":
            side.trade(name, int(rest[0]))
        else:
            side.send(name, {int(t): v for t, v in (field.split("=") for field in rest)})


if __name__ == "__main__":
    main(*sys.argv[1:5])
