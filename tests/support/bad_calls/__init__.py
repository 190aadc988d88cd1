"""What public functions must refuse: bad values of every argument, table by table."""
