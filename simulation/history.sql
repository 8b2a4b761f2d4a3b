-- One day of tasks, UTC, as CSV for `python -m simulation --history`:
--   psql "$DATABASE" --csv -v day=2026-01-31 -f simulation/history.sql > history.csv
-- It reads the runs that became due on that day or the day before, by their index, and
-- every try of their tasks. What was deferred counts from its last start.
SELECT ti.dag_id, ti.task_id, ti.run_id, ti.queue, dr.run_type,
       extract(epoch FROM ti.queued_dttm) AS queued,
       extract(epoch FROM ti.start_date) AS started,
       extract(epoch FROM ti.end_date) AS ended
FROM dag_run dr
JOIN (
    SELECT dag_id, task_id, run_id, queue, queued_dttm, start_date, end_date
    FROM task_instance
    UNION ALL
    SELECT dag_id, task_id, run_id, queue, queued_dttm, start_date, end_date
    FROM task_instance_history
) ti ON ti.dag_id = dr.dag_id AND ti.run_id = dr.run_id
WHERE dr.run_after >= (:'day'::date - 1)::timestamp AT TIME ZONE 'UTC'
  AND dr.run_after < (:'day'::date + 1)::timestamp AT TIME ZONE 'UTC'
  AND ti.queued_dttm >= :'day'::date::timestamp AT TIME ZONE 'UTC'
  AND ti.queued_dttm < (:'day'::date + 1)::timestamp AT TIME ZONE 'UTC'
  AND ti.queue IS NOT NULL
  AND ti.end_date > ti.start_date
ORDER BY queued;
