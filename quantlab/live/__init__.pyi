"""The floor: events, feeds, venues and an engine that trades a sealed bundle as they come."""

from .events import (
    Close as Close,
    Event as Event,
    Quote as Quote,
    Trade as Trade,
    close_of as close_of,
    event_line as event_line,
    read_event as read_event,
)
from .clock import (
    Clock as Clock,
    ManualClock as ManualClock,
    RealClock as RealClock,
)
from .feed import (
    Feed as Feed,
    ReplayFeed as ReplayFeed,
    Silence as Silence,
    watched as watched,
)
from .states import (
    OrderRecord as OrderRecord,
    OrderState as OrderState,
    Report as Report,
    TRANSITIONS as TRANSITIONS,
    follow as follow,
)
from .venue import (
    ReferenceVenue as ReferenceVenue,
    ShownVenue as ShownVenue,
    Venue as Venue,
)
from .store import (
    LiveStore as LiveStore,
)
from .latency import (
    Histogram as Histogram,
    read_latency as read_latency,
)
from .engine import (
    LiveEngine as LiveEngine,
)
from .messages import (
    Candle as Candle,
    Control as Control,
    Reading as Reading,
    Received as Received,
    read_message as read_message,
    write_messages as write_messages,
)
from .access import (
    Request as Request,
    read_request as read_request,
    write_request as write_request,
)
from .websocket_feed import (
    FeedStatistics as FeedStatistics,
    WebSocketFeed as WebSocketFeed,
)
from .played import (
    Faults as Faults,
    PlayedServer as PlayedServer,
    numbered as numbered,
)
from .desk import (
    Desk as Desk,
    DeskReader as DeskReader,
    expected_path as expected_path,
    read_desk as read_desk,
)
from .record import (
    desk_record as desk_record,
)
from .metrics import (
    desk_file as desk_file,
    desk_metrics as desk_metrics,
)
from .sheet import (
    desk_sheet as desk_sheet,
)
from .entrance import (
    read_token as read_token,
)
from .page import (
    desk_page as desk_page,
    page_server as page_server,
)
from .closes import (
    FileCloses as FileCloses,
    MergedFeed as MergedFeed,
)
