"""Reading AIS messages: column layouts, raw NMEA, cleaning."""
