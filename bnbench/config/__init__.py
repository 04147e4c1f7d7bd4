"""What a run is: config files, checked before anything is trained. No torch."""
