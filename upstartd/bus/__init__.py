"""D-Bus: connections, messages, objects and who may call what."""
