"""What tests of whole daemons share: scratch places, private buses, daemons, terminals. No tests live here."""
